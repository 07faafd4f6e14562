"""RecTools' eSASRec: SASRec with LiGR layers and sampled softmax, its number of epochs chosen on the tail of train.

Half of the CPU bound goes into the choice, the other half into the refit. Where the bound allows a few epochs only, the
best number would be more, and all of it goes into training. Long histories are cut into windows, so that training sees
all of them and not only their ends.
"""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

from benchmarks.peers.exchange import Lists, Ragged, Split, empty_lists, progress, recall

SHORTEST, LONGEST = 8, 50  # of a window, in events: every history is padded to it, so long ones cost everybody
LONG_SHARE = 80.0  # percentile of the train histories that sets the window
SETTINGS = {"n_blocks": 2, "n_heads": 2, "n_factors": 64, "dropout_rate": 0.2, "lr": 1e-3, "batch_size": 128}
NEGATIVES = 64  # of each position: RecTools gathers them one by one, which is most of the cost
EPOCHS_AT_ONCE = 2  # between two looks at the tail
PATIENCE = 3  # looks without a better recall
MOST_EPOCHS = 100
FEW_EPOCHS = 20  # within the bound: nothing to choose
AT_ONCE = 1024  # questions


def sasrec(tail: Split, test: Split, *, seed: int, seconds: float) -> tuple[Lists, dict[str, Any]]:
    """Lists of the refitted model, and its settings."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    length = int(np.clip(np.percentile(test.train.sizes, LONG_SHARE), SHORTEST, LONGEST))
    until = time.process_time() + seconds
    epochs, recalls = _epochs(tail, length, seed, seconds / 2) if len(tail) else (EPOCHS_AT_ONCE, {})
    model, spent, longest = _model(length, seed), 0, 0.0
    data = _windows(test.train, length)
    while spent < epochs and time.process_time() + longest < until:
        started = time.process_time()
        model.fit_partial(data, 1, 1)
        spent, longest = spent + 1, max(longest, time.process_time() - started)
        progress(f"  epoch {spent} of at most {epochs}")
    return _lists(model, test), {
        **SETTINGS,
        "length": length,
        "negatives": NEGATIVES,
        "epochs": spent,
        "tail_recall@20": recalls,
    }


def _epochs(tail: Split, length: int, seed: int, seconds: float) -> tuple[int, dict[str, float]]:
    """The best number of epochs on the tail, within a bound on CPU seconds; and the recall after each look."""
    model, data, started = _model(length, seed), _windows(tail.train, length), time.process_time()
    model.fit_partial(data, 1, 1)
    if (time.process_time() - started) * FEW_EPOCHS > 2.0 * seconds:
        return FEW_EPOCHS, {}
    model, started = _model(length, seed), time.process_time()
    recalls: dict[int, float] = {}
    for epochs in range(EPOCHS_AT_ONCE, MOST_EPOCHS + 1, EPOCHS_AT_ONCE):
        model.fit_partial(data, EPOCHS_AT_ONCE, EPOCHS_AT_ONCE)
        recalls[epochs] = recall(_lists(model, tail)[0], tail)
        progress(f"  epoch {epochs}: tail recall@20 {recalls[epochs]:.4f} ({time.process_time() - started:.0f} s CPU)")
        best = max(recalls, key=recalls.__getitem__)
        share = (time.process_time() - started) / len(recalls)
        if epochs - best >= PATIENCE * EPOCHS_AT_ONCE or time.process_time() - started + share > seconds:
            break
    return best, {str(epochs): round(value, 5) for epochs, value in recalls.items()}


def _model(length: int, seed: int) -> SASRecModel:
    seed_everything(seed, verbose=False)
    return SASRecModel(
        **SETTINGS,
        session_max_len=length,
        loss="sampled_softmax",
        n_negatives=NEGATIVES,
        transformer_layers_type=LiGRLayers,
        recommend_torch_device="cpu",
        get_trainer_func=_trainer,
    )


def _trainer() -> Trainer:
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _lists(model: SASRecModel, split: Split) -> Lists:
    """Every question's list; RecTools cannot exclude by user, so it lists more and the excluded ones are dropped."""
    rows, worth = empty_lists(split)
    asked = np.flatnonzero(split.histories.sizes > 0)
    asked = asked[np.argsort(split.excluded.sizes[asked], kind="stable")]
    for at in range(0, len(asked), AT_ONCE):
        numbers = asked[at : at + AT_ONCE]
        more = int(split.excluded.sizes[numbers].max())
        found = model.recommend(
            users=np.arange(len(numbers)),
            dataset=_dataset(split.histories.take(numbers)),
            k=min(split.listed + more, split.count_items),
            filter_viewed=False,
            on_unsupported_targets="ignore",
        )
        for user, part in found.groupby(Columns.User, sort=False):
            number = numbers[user]
            kept = part[~part[Columns.Item].isin(split.excluded.of(number))][: split.listed]
            rows[number, : len(kept)], worth[number, : len(kept)] = kept[Columns.Item], kept[Columns.Score]
    return rows, worth


def _windows(histories: Ragged, length: int) -> Dataset:
    """Histories cut into windows of `length` + 1 events, overlapping by one event."""
    parts = []
    for number in range(len(histories)):
        whole = histories.of(number)
        parts += [whole[at : at + length + 1] for at in range(0, max(len(whole) - 1, 1), length)]
    sizes = np.array([len(part) for part in parts], np.int64)
    return _dataset(Ragged(np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([*parts, np.empty(0, np.int32)])))


def _dataset(lists: Ragged) -> Dataset:
    """Each list as a user; made-up times carry the order."""
    places = np.arange(len(lists.items)) - np.repeat(lists.offsets[:-1], lists.sizes)
    frame = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(lists)), lists.sizes),
            Columns.Item: lists.items.astype(np.int64),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(places, unit="s"),
        }
    )
    return Dataset.construct(frame)
