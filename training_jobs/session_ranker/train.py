"""The session layer's job: count, train the session encoder, label requests of the past, train the ranker, write.

Moments, oldest first:
    encoder_until = first label cut   the encoder is trained on what came before
    label cuts                        requests as of each cut, labelled by the weeks after it
    evaluate_from                     nothing learnt has seen anything later (holdout_days before the end)
    the end of the data               what is counted is counted up to here and published so
On data whose events are all derived the encoder and the index read real baskets (see visits.py).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.adapters.onnx import OnnxModel
from recommender.contracts import artifacts
from recommender.domain.arrays import Floats, from_npz, to_npz
from recommender.domain.features import FEATURES
from recommender.domain.posterior import PreferencePrior
from recommender.errors import ArtifactRefused
from tqdm import tqdm

from training_jobs.environment import JobEnvironment
from training_jobs.exports import Exports, read_exports
from training_jobs.onnx_parity import assert_parity
from training_jobs.session_ranker.cohorts import Segmentation, build_cohorts
from training_jobs.session_ranker.encoder import (
    EncoderSettings,
    SessionEncoder,
    as_function,
    forget,
    to_onnx,
    vectors_of,
)
from training_jobs.session_ranker.encoder_training import Sequences, TrainingSettings
from training_jobs.session_ranker.histories import shopper_line
from training_jobs.session_ranker.lines import days_since_epoch, read_lines
from training_jobs.session_ranker.ranker import Ranker, RankerSettings, TrainedRanker, ranker_onnx, train_ranker
from training_jobs.session_ranker.ranker import as_function as ranker_function
from training_jobs.session_ranker.ranker_bundle import SessionModel as SessionPart
from training_jobs.session_ranker.ranker_bundle import memory_bundle
from training_jobs.session_ranker.ranker_data import Group, draw_groups, later
from training_jobs.session_ranker.session_model import (
    ORDERLESS,
    Knn,
    SessionModel,
    SessionModelSettings,
    fit_session_model,
)
from training_jobs.session_ranker.statistics import Statistics, build_statistics, write_statistics
from training_jobs.session_ranker.visits import Visits
from training_jobs.two_tower.towers import Towers

SHOPPERS = "shoppers.jsonl"
CONTENT_ROWS = "content_rows.npy"
JUST_AFTER = timedelta(microseconds=1)
PARITY_VISITS = ([0], [0, 1, 2], [2, -1, 0], [-1])


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters. Seconds are of CPU; 0 sets no bound."""

    holdout_days: int = 28
    label_days: int = 28
    label_cuts: int = 1
    requests_per_cut: int = 1200
    candidates: int = 600
    encoder_width: int = 64
    encoder_epochs: float = 2.0
    encoder_seconds: float = 45.0
    encoder_tail_prefixes: int = 800
    ranker_epochs: int = 4
    seed: int = 1

    def label_moments(self, evaluate_from: datetime) -> list[datetime]:
        """The label cuts, oldest first; the labels of the last one end at `evaluate_from`."""
        steps = range(self.label_cuts, 0, -1)
        return [evaluate_from - timedelta(days=self.label_days * step) for step in steps]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the job reads."""

    exports: Exports
    content_vectors: Floats  # (T, C)
    content_rows: NDArray[np.int32]  # (I,)
    towers: Towers


def main(environment: JobEnvironment) -> None:
    """Run the job."""
    started = time.process_time()
    settings = environment.settings(Settings)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    inputs = read_inputs(environment)
    evaluate_from = inputs.exports.data_until - timedelta(days=settings.holdout_days)
    cuts = settings.label_moments(evaluate_from)
    early = _counted(inputs, cuts[0])
    model = fit_encoder(early.visits, len(early.item_ids), settings)
    groups = [
        group
        for number, cut in enumerate(cuts)
        for group in label(inputs, early if number == 0 else _counted(inputs, cut), model, settings, cut)
    ]
    ranker = train_ranker(groups, RankerSettings(epochs=settings.ranker_epochs, seed=settings.seed))
    final = _counted(inputs, inputs.exports.data_until + JUST_AFTER)
    final = replace(final, session_index=final.session_index.with_settings(model.knn.settings))
    segments = build_cohorts(inputs.exports.shoppers, final, now_days=days_since_epoch(inputs.exports.data_until))
    parity = write(environment.model_dir, final, model, ranker, segments)
    environment.write_metrics(
        {
            "onnx_parity": parity,
            "items": len(final.item_ids),
            "visits": {"all": len(final.visits), "baskets": final.visits.count_baskets},
            "encoder": _encoder_metrics(model, early.visits),
            "ranker": {"groups": len(groups), "curve": list(ranker.curve), **ranker.metrics},
            "moments": {"encoder_until": str(cuts[0]), "evaluate_from": str(evaluate_from)},
            "cpu_seconds": round(time.process_time() - started, 1),
        }
    )


def read_inputs(environment: JobEnvironment) -> Inputs:
    """Exports, content and towers; refuses channels made for other items."""
    exports = read_exports(environment.channel("exports"))
    content, towers = environment.channel("content"), environment.channel("two_tower")
    item_ids = np.load(content / artifacts.ITEM_IDS)
    if not np.array_equal(item_ids, exports.item_ids):
        raise ArtifactRefused(f"channel content has {len(item_ids)} items that are not those of the exports")
    item_vectors: Floats = np.load(towers / artifacts.ITEM_VECTORS)
    if len(item_vectors) != len(item_ids):
        raise ArtifactRefused(f"channel two_tower has {len(item_vectors)} items, the exports have {len(item_ids)}")
    return Inputs(
        exports,
        np.load(content / artifacts.CONTENT_VECTORS),
        np.load(content / CONTENT_ROWS),
        Towers(
            item_vectors,
            OnnxModel(towers / artifacts.USER_TOWER),
            from_npz(PreferencePrior, (towers / artifacts.PREFERENCE).read_bytes()),
        ),
    )


def fit_encoder(visits: Visits, count_items: int, settings: Settings) -> SessionModel:
    """The encoder, and the kNN settings that suit these visits."""
    model = fit_session_model(
        Sequences(visits.offsets, visits.items),
        visits.days,
        count_items=count_items,
        settings=SessionModelSettings(
            EncoderSettings(width=settings.encoder_width),
            TrainingSettings(epochs=settings.encoder_epochs, seconds=settings.encoder_seconds, seed=settings.seed),
            tail_prefixes=settings.encoder_tail_prefixes,
            knn_choices=(Knn(), Knn(settings=ORDERLESS)),  # what serving can afford
        ),
        report=lambda line: tqdm.write(line, file=sys.stderr),
    )
    unseen = np.flatnonzero(np.bincount(visits.items, minlength=count_items) == 0)
    forget(model.encoder, unseen)
    return replace(model, item_vectors=vectors_of(model.encoder))


def label(
    inputs: Inputs, statistics: Statistics, model: SessionModel, settings: Settings, cut: datetime
) -> list[Group]:
    """Requests as of `cut` with what was bought in the weeks after it."""
    until = cut + timedelta(days=settings.label_days)
    now_days = days_since_epoch(cut)
    segments = build_cohorts(inputs.exports.shoppers, statistics, now_days=now_days)
    bundle = memory_bundle(
        replace(statistics, session_index=statistics.session_index.with_settings(model.knn.settings)),
        content_vectors=inputs.content_vectors,
        towers=inputs.towers,
        session=SessionPart(model.item_vectors, as_function(model.encoder)),
        cohorts=segments.lists(),
    )
    bought = later(read_lines(inputs.exports, until=until), after_days=now_days, until_days=days_since_epoch(until))
    return draw_groups(
        bundle,
        statistics.histories,
        bought,
        dict(segments.of_shopper),
        np.random.default_rng(settings.seed),
        now_days=now_days,
        most=settings.requests_per_cut,
        limit=settings.candidates,
    )


def write(
    folder: Path, statistics: Statistics, model: SessionModel, ranker: TrainedRanker, segments: Segmentation
) -> dict[str, float]:
    """All files of the job; returns how far each ONNX file is from its PyTorch source, at most 1e-4."""
    write_statistics(statistics, folder)
    (folder / artifacts.COHORTS).write_bytes(to_npz(segments.lists()))
    with (folder / SHOPPERS).open("w") as lines:
        for shopper in statistics.histories.shoppers(segments.of_shopper):
            lines.write(shopper_line(shopper) + "\n")
    np.save(folder / artifacts.SESSION_ITEM_VECTORS, model.item_vectors)
    (folder / artifacts.SESSION_ENCODER).write_bytes(to_onnx(model.encoder))
    (folder / artifacts.RANKER).write_bytes(ranker_onnx(ranker.module))
    (folder / artifacts.RANKER_SPEC).write_text(json.dumps(_ranker_spec(model), indent=1) + "\n")
    return {
        artifacts.SESSION_ENCODER: _encoder_parity(model.encoder, folder / artifacts.SESSION_ENCODER),
        artifacts.RANKER: _ranker_parity(ranker.module, folder / artifacts.RANKER),
    }


def _counted(inputs: Inputs, until: datetime) -> Statistics:
    return build_statistics(inputs.exports, until=until, content_rows=inputs.content_rows)


def _ranker_spec(model: SessionModel) -> dict[str, Any]:
    return {
        "features": list(FEATURES),
        "temperature": 1.0,
        "session_temperature": model.encoder.settings.temperature,
    }


def _encoder_parity(encoder: SessionEncoder, path: Path) -> float:
    exact, written = as_function(encoder), OnnxModel(path)
    last = encoder.items.num_embeddings - 1
    feeds = [{"items": np.minimum(np.array([visit], np.int64), last)} for visit in PARITY_VISITS]
    return max(assert_parity(exact(feed), written(feed), name=path.name) for feed in feeds)


def _ranker_parity(ranker: Ranker, path: Path) -> float:
    features = np.random.default_rng(0).normal(size=(50, len(FEATURES))).astype(np.float32)
    feed: Mapping[str, NDArray[Any]] = {"features": features}
    return assert_parity(ranker_function(ranker)(feed), OnnxModel(path)(feed), name=path.name)


def _encoder_metrics(model: SessionModel, visits: Visits) -> dict[str, Any]:
    return {
        "visits": len(visits),
        "baskets": visits.count_baskets,
        "epochs": round(model.run.epochs, 2),
        "cpu_seconds": round(model.cpu_seconds, 1),
        "knn": str(model.knn),
        "tail_marks": {name: round(mark, 5) for name, mark in model.choices.items()},
        "curve": model.run.curve,
    }


if __name__ == "__main__":
    main(JobEnvironment.from_environment(os.environ))
