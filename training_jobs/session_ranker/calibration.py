"""Turns scores into probabilities, p = sigmoid(slope score + offset), and measures their reliability.

The logistic is fitted on one half of the held-out requests and judged on the other. Letters: N scored items, B bins.

Decisions: docs/decisions/ranker.md (101).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles

NEWTON_STEPS = 30
RIDGE = 1e-3
SMALLEST_SLOPE = 1e-3  # the order must survive
BINS = 10


@dataclass(frozen=True, slots=True)
class Logistic:
    """A probability that grows with the score."""

    slope: float
    offset: float

    def __call__(self, scores: NDArray[np.floating]) -> Doubles:
        """(N,) probabilities."""
        odds = np.clip(self.slope * np.asarray(scores, np.float64) + self.offset, -60.0, 60.0)
        probabilities: Doubles = 1.0 / (1.0 + np.exp(-odds))
        return probabilities


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predicted and observed shares in bins of equal count, the least likely first."""

    predicted: tuple[float, ...]  # (B,) mean probability
    observed: tuple[float, ...]  # (B,) share of hits
    counts: tuple[int, ...]  # (B,)
    log_loss: float

    @property
    def expected_error(self) -> float:
        """ECE: mean |predicted - observed| over items."""
        gaps = np.abs(np.subtract(self.predicted, self.observed))
        return float(np.average(gaps, weights=self.counts)) if self.counts else 0.0

    def to_json(self) -> dict[str, Any]:
        """Rounded; `reliability` holds [predicted, observed, items] of each bin."""
        bins = zip(self.predicted, self.observed, self.counts, strict=True)
        return {
            "ece": round(self.expected_error, 6),
            "log_loss": round(self.log_loss, 6),
            "base_rate": round(float(np.average(self.observed, weights=self.counts)), 6) if self.counts else 0.0,
            "reliability": [[round(p, 6), round(y, 6), n] for p, y, n in bins],
        }


def fit_logistic(scores: NDArray[np.floating], hits: NDArray[np.bool_]) -> Logistic:
    """Newton steps on the log loss of scores (N,) and hits (N,); a ridge limits them where evidence is scarce."""
    raw, wanted = np.asarray(scores, np.float64), np.asarray(hits, np.float64)
    centre, scale = float(raw.mean()), max(float(raw.std()), 1e-6)
    design = np.stack([(raw - centre) / scale, np.ones_like(raw)], axis=1)  # (N, 2)
    share = (wanted.sum() + 0.5) / (len(wanted) + 1.0)
    weights = np.array([1.0, np.log(share / (1.0 - share))])
    for _ in range(NEWTON_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -60.0, 60.0)))
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + RIDGE * np.eye(2)
        slope = design.T @ (probability - wanted) + RIDGE * (weights - [1.0, 0.0])
        weights = weights - np.linalg.solve(curvature, slope)
    slope = max(float(weights[0]), SMALLEST_SLOPE) / scale
    return Logistic(slope, float(weights[1]) - slope * centre)


def reliability(probabilities: NDArray[np.floating], hits: NDArray[np.bool_], *, bins: int = BINS) -> Reliability:
    """The fit of probabilities (N,) to hits (N,)."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(hits, np.float64)
    if not len(p):
        return Reliability((), (), (), 0.0)
    parts = [part for part in np.array_split(np.argsort(p, kind="stable"), bins) if len(part)]
    entropy = -np.mean(y * np.log(p + 1e-12) + (1.0 - y) * np.log(1.0 - p + 1e-12))
    return Reliability(
        tuple(float(p[part].mean()) for part in parts),
        tuple(float(y[part].mean()) for part in parts),
        tuple(len(part) for part in parts),
        float(entropy),
    )


def of_heads(fits: Mapping[str, Reliability], sources: Mapping[str, str]) -> dict[str, Any]:
    """The training data and the reliability of each head, for the metrics."""
    return {name: {"fitted_on": sources[name], **(fits[name].to_json() if name in fits else {})} for name in sources}


def halves(parts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Every other one to fit on, and the rest to judge on; both hold the only one where there is one."""
    return list(parts[::2]), list(parts[1::2]) or list(parts)
