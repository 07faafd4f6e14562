"""Fine-tuning on the catalogue: pairs that belong together attract, the rest of the batch repels.

Over a batch of B pairs, scores s = left @ right.T are drawn towards what the untuned encoder thinks of the same batch,
raised by `boost` where two texts are known to belong together: CE(s / tau, softmax((s_old + boost * known) / tau)),
both ways. With hard labels (InfoNCE: van den Oord 2018) a few minutes make it forget what it knew of language. Only the
last layers learn, and what is kept is the point between old and new weights (WiSE-FT: Wortsman et al. 2022) that finds
held-out pairs best: the old weights themselves where nothing is better. The verdict is in the metrics.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.search import words
from torch import Tensor
from tqdm import tqdm

from training_jobs.content_bert.data import KINDS, Pair, split
from training_jobs.content_bert.model import TextEncoder, TextModel, Tokens, encode_texts, padded, tokenize
from training_jobs.metrics import expected_rank
from training_jobs.onnx_models import require_finite

QUERY_TOLERANCE = 0.005  # what the search pairs may lose while the mean over all kinds gains
WARM_UP_STEPS = 10
MIXES = (0.5, 1.0)  # shares of the new weights that are tried


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How long and how strongly to tune; `max_pairs` or `max_seconds` ends it, whichever comes first."""

    max_pairs: int = 6000
    max_seconds: float = 90.0
    held_out_pairs: int = 150  # of each kind
    layers: int = 2
    batch_size: int = 48
    learning_rate: float = 4e-5
    temperature: float = 0.05
    boost: float = 0.2  # of cosine, for what is known to belong together
    max_tokens: int = 32  # of a text in training and in the held-out pairs: the head says what it is


def fine_tune(
    model: TextModel, pairs: Sequence[Pair], settings: TuneSettings, *, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Tune `model` in place where that helps, else leave its weights as they were; the metrics say which."""
    training, held_out = split(pairs)
    held_out = _of_each_kind(held_out, settings.held_out_pairs)
    training = training[: settings.max_pairs]
    before = retrieval(model, held_out, settings.max_tokens)
    old = model.state()
    losses = _train(model, training, settings, clock)
    tried = _tried(model, old, held_out, settings) if losses else {}
    mix, after = _best(before, tried)
    model.encoder.load_state_dict(_mixed(old, model.state(), mix))
    return {
        "kept": mix > 0.0,
        "share_of_new_weights": mix,
        "pairs": len(training),
        "pairs_seen": min(len(losses) * settings.batch_size, len(training)),
        "held_out_pairs": len(held_out),
        "mrr_before": before,
        "mrr_after": after,
        "loss": [round(loss, 4) for loss in losses],
    }


def _tried(
    model: TextModel, old: Mapping[str, Tensor], held_out: Sequence[Pair], settings: TuneSettings
) -> dict[float, dict[str, float]]:
    """Share of the new weights -> what it finds of the held-out pairs; leaves the new weights in the model."""
    new, found = model.state(), {}
    for mix in MIXES:
        model.encoder.load_state_dict(_mixed(old, new, mix))
        found[mix] = retrieval(model, held_out, settings.max_tokens)
    model.encoder.load_state_dict(new)
    return found


def _best(before: dict[str, float], tried: dict[float, dict[str, float]]) -> tuple[float, dict[str, float]]:
    """(share of the new weights, its marks): the best that is better than before, else (0, the best that was tried)."""
    ranked = sorted(tried, key=lambda mix: -_mean(tried[mix]))
    better = next((mix for mix in ranked if is_better(before, tried[mix])), 0.0)
    return better, tried[better or ranked[0]] if ranked else before


def _mixed(old: Mapping[str, Tensor], new: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights between old (0) and new (1)."""
    return {
        name: torch.lerp(value, new[name], share) if value.is_floating_point() else value for name, value in old.items()
    }


def is_better(before: dict[str, float], after: dict[str, float]) -> bool:
    """True where the mean over the kinds has risen and searches have not become worse."""
    if not before:
        return False
    return _mean(after) > _mean(before) and after.get("query", 0.0) >= before.get("query", 0.0) - QUERY_TOLERANCE


def _mean(marks: Mapping[str, float]) -> float:
    return float(np.mean(list(marks.values())))


def retrieval(model: TextModel, pairs: Sequence[Pair], max_tokens: int) -> dict[str, float]:
    """Mean reciprocal rank of the right text among all right texts, by kind.

    Other right answers are left out of the ranking: what the same left text is paired with, and texts that have
    every word of a query. Equal scores count at their expected rank.
    """
    if not pairs:
        return {}
    said = {pair.right: set(words(pair.origin)) for pair in pairs}
    pool = list(said)
    place = {text: column for column, text in enumerate(pool)}
    answers: dict[str, set[int]] = {}
    for pair in pairs:
        answers.setdefault(pair.left, set()).add(place[pair.right])
    targets = encode_texts(model, pool, max_tokens=max_tokens, label="held-out texts")
    lefts = encode_texts(model, [pair.left for pair in pairs], max_tokens=max_tokens, label="held-out pairs")
    scores = lefts @ targets.T  # (pairs, pool)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for row, pair in enumerate(pairs):
        others = answers[pair.left] | (_with_words(said, pair.left) if pair.kind == "query" else set())
        others = others - {place[pair.right]}
        found[pair.kind].append(1.0 / expected_rank(scores[row], place[pair.right], sorted(others)))
    return {kind: round(float(np.mean(ranks)), 4) for kind, ranks in found.items() if ranks}


def _with_words(said: Mapping[str, set[str]], query: str) -> set[int]:
    asked = set(words(query))
    return {column for column, found in enumerate(said.values()) if asked <= found}


def _of_each_kind(pairs: Sequence[Pair], limit: int) -> list[Pair]:
    return [pair for kind in KINDS for pair in [entry for entry in pairs if entry.kind == kind][:limit]]


def _train(model: TextModel, pairs: Sequence[Pair], settings: TuneSettings, clock: Callable[[], float]) -> list[float]:
    """One pass over the pairs, or as much of it as `max_seconds` allow; the rate falls with whichever ends first."""
    started = clock()
    steps = len(pairs) // settings.batch_size
    model.encoder.eval()  # dropout stays off: in so short a run it costs more than it protects
    teacher = copy.deepcopy(model.encoder).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.encoder.trainable_layers(settings.layers), lr=settings.learning_rate)
    losses: list[float] = []
    for step in tqdm(range(steps), desc="fine-tune", unit="batch", leave=False, mininterval=1.0):
        spent = (clock() - started) / max(settings.max_seconds, 1e-9)
        if spent > 1.0:
            break
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * warm * (1.0 - max(step / steps, spent))
        batch = pairs[step * settings.batch_size : (step + 1) * settings.batch_size]
        loss = _loss(model.encoder, teacher, model, batch, settings)
        require_finite(loss.item(), batch=f"content_bert, batch {step}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    model.encoder.requires_grad_(False)
    return losses


def _loss(
    encoder: TextEncoder, teacher: TextEncoder, model: TextModel, batch: Sequence[Pair], settings: TuneSettings
) -> Tensor:
    texts = [pair.left for pair in batch], [pair.right for pair in batch]
    tokens = [padded(tokenize(model.tokenizer, side, settings.max_tokens)) for side in texts]
    with torch.no_grad():
        known = _similarity(teacher, tokens) + settings.boost * torch.from_numpy(_belongs(batch))  # (B, B)
    scores = _similarity(encoder, tokens) / settings.temperature  # (B, B)
    wanted = known / settings.temperature
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(scores, wanted.softmax(1)) + cross_entropy(scores.T, wanted.T.softmax(1))) / 2


def _belongs(batch: Sequence[Pair]) -> NDArray[np.float32]:
    """(B, B) 1 where the right-hand text of a column is known to belong to the left-hand text of a row."""
    lefts, rights = np.array([pair.left for pair in batch]), np.array([pair.right for pair in batch])
    is_known: NDArray[np.bool_] = np.equal.outer(lefts, lefts) | np.equal.outer(rights, rights)  # (B, B)
    said = [set(words(pair.origin)) for pair in batch]
    for row, pair in enumerate(batch):
        if pair.kind == "query":
            asked = set(words(pair.left))
            is_known[row] |= [asked <= column for column in said]
    return is_known.astype(np.float32)


def _similarity(encoder: TextEncoder, tokens: Sequence[tuple[Tokens, Tokens]]) -> Tensor:
    lefts, rights = (encoder(torch.from_numpy(ids), torch.from_numpy(mask)) for ids, mask in tokens)  # (B, C)
    similarity: Tensor = lefts @ rights.T
    return similarity
