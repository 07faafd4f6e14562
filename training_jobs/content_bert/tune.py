"""Fine-tuning on the catalogue: pairs that belong together attract, the rest of the batch repels.

Symmetric InfoNCE over a batch of B pairs, loss = CE(s / tau), s = left @ right.T (van den Oord 2018), with
pairs masked whose texts are equal: they are no negatives. Only the last layers learn. The tuned weights
are kept only where held-out pairs are found better than before; the verdict is in the metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from recommender.domain.arrays import Floats
from torch import Tensor
from tqdm import tqdm

from training_jobs.content_bert.data import KINDS, Pair, split
from training_jobs.content_bert.encode import encode_texts, padded, tokenize
from training_jobs.content_bert.model import TextModel

QUERY_TOLERANCE = 0.005  # what the search pairs may lose while the mean over all kinds gains


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How long and how strongly to tune. `max_seconds` is a safety net, `max_pairs` the real bound."""

    max_pairs: int = 1800
    max_seconds: float = 60.0
    held_out_pairs: int = 150  # of each kind
    layers: int = 2
    batch_size: int = 48
    learning_rate: float = 4e-5
    temperature: float = 0.05
    max_tokens: int = 32


def fine_tune(
    model: TextModel, pairs: Sequence[Pair], settings: TuneSettings, *, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Tune `model` in place where that helps, else leave its weights as they were; the metrics say which."""
    training, held_out = split(pairs)
    held_out = _of_each_kind(held_out, settings.held_out_pairs)
    training = training[: settings.max_pairs]
    before = retrieval(model, held_out, settings.max_tokens)
    weights = model.state()
    losses = _train(model, training, settings, clock)
    after = retrieval(model, held_out, settings.max_tokens)
    is_kept = bool(losses) and is_better(before, after)
    if not is_kept:
        model.encoder.load_state_dict(weights)
    return {
        "kept": is_kept,
        "pairs": len(training),
        "pairs_seen": min(len(losses) * settings.batch_size, len(training)),
        "held_out_pairs": len(held_out),
        "mrr_before": before,
        "mrr_after": after,
        "loss": [round(loss, 4) for loss in losses],
    }


def is_better(before: dict[str, float], after: dict[str, float]) -> bool:
    """True where the mean over the kinds has risen and searches have not become worse."""
    if not before:
        return False
    gain = np.mean(list(after.values())) - np.mean(list(before.values()))
    return bool(gain > 0) and after.get("query", 0.0) >= before.get("query", 0.0) - QUERY_TOLERANCE


def retrieval(model: TextModel, pairs: Sequence[Pair], max_tokens: int) -> dict[str, float]:
    """Mean reciprocal rank of the right text among all right texts, by kind.

    Other right answers to the same left text are left out of the ranking; equal scores count at
    their expected rank.
    """
    if not pairs:
        return {}
    pool = list(dict.fromkeys(pair.right for pair in pairs))
    place = {text: column for column, text in enumerate(pool)}
    answers: dict[str, set[int]] = {}
    for pair in pairs:
        answers.setdefault(pair.left, set()).add(place[pair.right])
    targets = encode_texts(model, pool, max_tokens=max_tokens, label="held-out texts")
    lefts = encode_texts(model, [pair.left for pair in pairs], max_tokens=max_tokens, label="held-out pairs")
    scores = lefts @ targets.T  # (pairs, pool)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for row, pair in enumerate(pairs):
        others = answers[pair.left] - {place[pair.right]}
        found[pair.kind].append(1.0 / _expected_rank(scores[row], place[pair.right], others))
    return {kind: round(float(np.mean(ranks)), 4) for kind, ranks in found.items() if ranks}


def _expected_rank(scores: Floats, target: int, others: set[int]) -> float:
    rivals = np.delete(scores, [target, *others])
    return 1.0 + float((rivals > scores[target]).sum()) + 0.5 * float((rivals == scores[target]).sum())


def _of_each_kind(pairs: Sequence[Pair], limit: int) -> list[Pair]:
    return [pair for kind in KINDS for pair in [entry for entry in pairs if entry.kind == kind][:limit]]


def _train(model: TextModel, pairs: Sequence[Pair], settings: TuneSettings, clock: Callable[[], float]) -> list[float]:
    """One pass over the pairs with a linearly falling rate; stops early after `max_seconds`."""
    started = clock()
    steps = len(pairs) // settings.batch_size
    model.encoder.eval()  # dropout stays off: in so short a run it costs more than it protects
    optimizer = torch.optim.AdamW(model.encoder.trainable_layers(settings.layers), lr=settings.learning_rate)
    losses: list[float] = []
    for step in tqdm(range(steps), desc="fine-tune", unit="batch", leave=False, mininterval=1.0):
        if clock() - started > settings.max_seconds:
            break
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1.0 - step / steps)
        batch = pairs[step * settings.batch_size : (step + 1) * settings.batch_size]
        loss = _loss(model, batch, settings)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    model.encoder.requires_grad_(False)
    return losses


def _loss(model: TextModel, batch: Sequence[Pair], settings: TuneSettings) -> Tensor:
    lefts, rights = [pair.left for pair in batch], [pair.right for pair in batch]
    scores = _vectors(model, lefts, settings) @ _vectors(model, rights, settings).T / settings.temperature  # (B, B)
    is_same = np.equal.outer(np.array(lefts), np.array(lefts)) | np.equal.outer(np.array(rights), np.array(rights))
    np.fill_diagonal(is_same, False)
    scores = scores.masked_fill(torch.from_numpy(is_same), float("-inf"))
    labels = torch.arange(len(batch))
    return (torch.nn.functional.cross_entropy(scores, labels) + torch.nn.functional.cross_entropy(scores.T, labels)) / 2


def _vectors(model: TextModel, texts: Sequence[str], settings: TuneSettings) -> Tensor:
    input_ids, mask = padded(tokenize(model.tokenizer, texts, settings.max_tokens))
    vectors: Tensor = model.encoder(torch.from_numpy(input_ids), torch.from_numpy(mask))  # (B, C)
    return vectors
