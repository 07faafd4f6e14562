"""Confidence intervals of means, ratios and differences: percentiles of a bootstrap over questions or their groups.

Questions of one session or shopper rise and fall together, so with labels whole groups are resampled. A comparison is
paired: both methods get the same draws. A seed is a number, or a generator that several calls share. Letters: Q
questions, G groups, M metrics, R rounds of the bootstrap.

Decisions: docs/decisions/benchmarks.md (111).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles

ROUNDS: Final = 1000
CONFIDENCE: Final = 0.95
TAILS: Final = (50.0 * (1.0 - CONFIDENCE), 50.0 * (1.0 + CONFIDENCE))  # percentiles at the ends of an interval
PLACES: Final = 5  # decimals of a figure in JSON

Numbers = NDArray[np.floating]
Groups = NDArray[np.integer] | None  # (Q,) labels of sessions or shoppers; None: each question stands alone
Seed = int | np.random.Generator


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its bootstrap interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """The three numbers, rounded to five places."""
        return {"value": round(self.value, PLACES), "low": round(self.low, PLACES), "high": round(self.high, PLACES)}


def bootstrap(values: Numbers, seed: Seed = 0) -> Estimate:
    """The mean of (Q,) values and the interval of its resampled means; nan where there is no value."""
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"))
    means = resampled_means(np.asarray(values, np.float64)[:, None], seed)[:, 0]  # (R,)
    low, high = np.percentile(means, TAILS)
    value = float(np.mean(values))
    # A mean without spread is its own interval, whatever the order of the additions does to its last bit.
    return Estimate(value, min(float(low), value), max(float(high), value))


def intervals(values: Mapping[str, Numbers], *, groups: Groups = None) -> dict[str, list[float]]:
    """{metric: [low, high]} of (Q,) values each, all on the same draws: the form of a benchmark's JSON."""
    if not values:
        return {}
    table = np.column_stack([np.asarray(column, np.float64) for column in values.values()])  # (Q, M)
    if not len(table):
        return {}
    ends = np.percentile(resampled_means(table, groups=groups), TAILS, axis=0).round(PLACES)  # (2, M)
    return {name: [float(low), float(high)] for name, (low, high) in zip(values, ends.T, strict=True)}


def difference(above: Numbers, below: Numbers) -> Estimate:
    """Mean of `above` (Q,) minus mean of `below` (Q,) on the same questions."""
    return bootstrap(np.asarray(above, np.float64) - np.asarray(below, np.float64))


def ratio(above: Numbers, below: Numbers, seed: Seed = 0) -> Estimate | None:
    """Mean of `above` (Q,) over mean of `below` (Q,) on the same questions; None where `below` may be zero."""
    if not len(above) or not float(np.mean(below)) > 0.0:
        return None
    both = int(np.random.default_rng(seed).integers(2**63))  # the same draws, in a product each: equals stay equal
    numerators, denominators = (
        resampled_means(np.asarray(side, np.float64)[:, None], both)[:, 0] for side in (above, below)
    )
    if np.percentile(denominators, TAILS[0]) <= 0.0:
        return None
    # Resamples in which nobody below has a hit lie beyond the interval.
    ratios = np.divide(numerators, denominators, out=np.full(ROUNDS, np.inf), where=denominators > 0.0)
    low, high = np.percentile(ratios, TAILS, method="nearest")
    return Estimate(float(np.mean(above) / np.mean(below)), float(low), float(high)) if np.isfinite(high) else None


def resampled_means(values: Doubles, seed: Seed = 0, *, groups: Groups = None) -> Doubles:
    """(R, M) means of M columns of (Q, M) values over the same R draws of G groups with replacement."""
    sums, sizes = _by_group(values, groups)  # (G, M), (G,)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(ROUNDS):
        times = np.bincount(rng.integers(0, len(sizes), len(sizes)), minlength=len(sizes)).astype(np.float64)  # (G,)
        means.append(times @ sums / (times @ sizes))
    return np.array(means).reshape(ROUNDS, values.shape[1])


def _by_group(values: Doubles, groups: Groups) -> tuple[Doubles, Doubles]:
    """(G, M) sums and (G,) sizes of groups with any labels; one group a row without labels."""
    if groups is None:
        return np.ascontiguousarray(values, np.float64), np.ones(len(values))
    _, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(place.max()) + 1, values.shape[1]))
    np.add.at(sums, place, values)
    return sums, np.bincount(place).astype(np.float64)
