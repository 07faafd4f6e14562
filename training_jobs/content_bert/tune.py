"""Fine-tunes the encoder on the catalogue: pairs that belong together attract, the rest of the batch repels.

Over a batch of B pairs, scores s = left @ right.T are drawn towards the untuned encoder's scores s_old, raised by
`boost` for pairs known to belong together: CE(s / tau, softmax((s_old + boost * known) / tau)), both ways. With hard
labels (InfoNCE: van den Oord 2018) the model forgets its language within minutes. Only the last layers learn; the
weights kept are the point between old and new ones (WiSE-FT: Wortsman et al. 2022) with the best held-out retrieval,
the old ones where nothing is better. Letters: B pairs of a batch, C content width.

Decisions: docs/decisions/encoder.md (042), docs/decisions/search.md (109).
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

QUERY_TOLERANCE = 0.005  # the loss of the search pairs that is allowed while the mean over all kinds gains
WARM_UP_STEPS = 10
MIXES = (0.5, 1.0)  # shares of the new weights that are tried


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """Length and strength of the tuning; `max_pairs` or `max_seconds` ends it, whichever comes first."""

    max_pairs: int = 6000
    max_seconds: float = 90.0
    held_out_pairs: int = 150  # of each kind
    layers: int = 2
    batch_size: int = 48
    learning_rate: float = 4e-5
    temperature: float = 0.05
    boost: float = 0.2  # of cosine, for texts known to belong together
    max_tokens: int = 32  # of a text in training and in the held-out pairs: the head suffices


def fine_tune(
    model: TextModel, pairs: Sequence[Pair], settings: TuneSettings, *, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Tune `model` in place where that helps, else restore its weights; the metrics contain the decision."""
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
    """Share of the new weights -> retrieval of the held-out pairs; leaves the new weights in the model."""
    new, found = model.state(), {}
    for mix in MIXES:
        model.encoder.load_state_dict(_mixed(old, new, mix))
        found[mix] = retrieval(model, held_out, settings.max_tokens)
    model.encoder.load_state_dict(new)
    return found


def _best(before: dict[str, float], tried: dict[float, dict[str, float]]) -> tuple[float, dict[str, float]]:
    """(share of the new weights, its metrics): the best one above `before`, else (0, the best one tried)."""
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


def _mean(metrics: Mapping[str, float]) -> float:
    return float(np.mean(list(metrics.values())))


def retrieval(model: TextModel, pairs: Sequence[Pair], max_tokens: int) -> dict[str, float]:
    """Mean reciprocal rank of the right text among all right texts, by kind.

    Other right answers leave the ranking: texts paired with the same left text, and texts with every word of a query.
    Equal scores count at their expected rank.
    """
    if not pairs:
        return {}
    words_of = {pair.right: set(words(pair.origin)) for pair in pairs}
    pool = list(words_of)
    place = {text: column for column, text in enumerate(pool)}
    answers: dict[str, set[int]] = {}
    for pair in pairs:
        answers.setdefault(pair.left, set()).add(place[pair.right])
    targets = encode_texts(model, pool, max_tokens=max_tokens, label="held-out texts")
    lefts = encode_texts(model, [pair.left for pair in pairs], max_tokens=max_tokens, label="held-out pairs")
    scores = lefts @ targets.T  # (pairs, pool)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for row, pair in enumerate(pairs):
        others = answers[pair.left] | (_with_words(words_of, pair.left) if pair.kind == "query" else set())
        others = others - {place[pair.right]}
        found[pair.kind].append(1.0 / expected_rank(scores[row], place[pair.right], sorted(others)))
    return {kind: round(float(np.mean(ranks)), 4) for kind, ranks in found.items() if ranks}


def _with_words(words_of: Mapping[str, set[str]], query: str) -> set[int]:
    query_words = set(words(query))
    return {column for column, found in enumerate(words_of.values()) if query_words <= found}


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
    words_of = [set(words(pair.origin)) for pair in batch]
    for row, pair in enumerate(batch):
        if pair.kind == "query":
            query_words = set(words(pair.left))
            is_known[row] |= [query_words <= column for column in words_of]
    return is_known.astype(np.float32)


def _similarity(encoder: TextEncoder, tokens: Sequence[tuple[Tokens, Tokens]]) -> Tensor:
    lefts, rights = (encoder(torch.from_numpy(ids), torch.from_numpy(mask)) for ids, mask in tokens)  # (B, C)
    similarity: Tensor = lefts @ rights.T
    return similarity
