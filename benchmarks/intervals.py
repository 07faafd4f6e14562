"""How sure a benchmark is of its figures, and how broad its lists are: intervals by session or shopper, coverage.

Questions of one session or shopper rise and fall together, so resampling draws whole groups. Comparisons are paired:
both methods meet the same draws. Letters: N questions, G groups, K length of a list, I items, M metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles, Floats

from training_jobs import metrics
from training_jobs.metrics import ROUNDS, TAILS, Estimate

Interval = Estimate  # value, low, high
Groups = NDArray[np.integer] | None  # (N,) labels of sessions or shoppers; None: each question stands alone
Numbers = NDArray[np.floating]
Lists = NDArray[np.integer] | Sequence[NDArray[np.integer]]  # (N, K) rows, -1 behind a shorter list, or N arrays
PLACES = 5


def interval(values: Numbers, groups: Groups = None, *, seed: int = 0, resamples: int = ROUNDS) -> Interval:
    """The mean of (N,) values with its 95 % interval."""
    return metrics.bootstrap(values, np.random.default_rng(seed), resamples, groups=groups)


def intervals(
    values: Mapping[str, Numbers], groups: Groups = None, *, seed: int = 0, resamples: int = ROUNDS
) -> dict[str, list[float]]:
    """{metric: [low, high]} of (N,) values each, all on the same draws: the form of a benchmark's JSON."""
    if not values:
        return {}
    table = np.column_stack([np.asarray(column, np.float64) for column in values.values()])  # (N, M)
    if not len(table):
        return {}
    means = metrics.resampled_means(table, np.random.default_rng(seed), resamples, groups=groups)  # (R, M)
    ends = np.percentile(means, TAILS, axis=0).round(PLACES)  # (2, M)
    return {name: [float(low), float(high)] for name, (low, high) in zip(values, ends.T, strict=True)}


def ratio(
    above: Numbers, below: Numbers, groups: Groups = None, *, seed: int = 0, resamples: int = ROUNDS
) -> Interval | None:
    """Mean of `above` over mean of `below` on the same questions; None where `below` may be zero."""
    rng = np.random.default_rng(seed)
    return metrics.ratio(_doubles(above), _doubles(below), rng, resamples, groups=groups)


def difference(
    above: Numbers, below: Numbers, groups: Groups = None, *, seed: int = 0, resamples: int = ROUNDS
) -> Interval:
    """Mean of `above` minus mean of `below` on the same questions."""
    return interval(_doubles(above) - _doubles(below), groups, seed=seed, resamples=resamples)


def coverage(lists: Lists, count_items: int) -> float:
    """Share of the I items of the catalogue that occur in any list."""
    return len(np.unique(_listed(lists))) / count_items if count_items else 0.0


def popularity_percentile(lists: Lists, popularity: Numbers) -> float:
    """Mean percentile, 0 to 1, of the listed items among (I,) popularities; equal ones share their middle.

    A method that lists nothing but best-sellers is near 1, one that draws items blindly near 0.5; nan without a list.
    """
    listed = _listed(lists)
    if not len(listed):
        return float("nan")
    worth = _doubles(popularity)
    ordered = np.sort(worth)
    below, up_to = np.searchsorted(ordered, worth, "left"), np.searchsorted(ordered, worth, "right")
    return float(((below + up_to) / (2.0 * len(worth)))[listed].mean())


def breadth(lists: Lists, popularity: Numbers, *, cutoff: int = 20) -> dict[str, float]:
    """coverage@20 and popularity@20 as a benchmark prints them; `popularity` (I,) in train."""
    heads = [row[:cutoff] for row in lists]
    found = popularity_percentile(heads, popularity)
    return {
        f"coverage@{cutoff}": round(coverage(heads, len(popularity)), PLACES),
        **({f"popularity@{cutoff}": round(found, PLACES)} if np.isfinite(found) else {}),
    }


def _listed(lists: Lists) -> NDArray[np.integer]:
    """Every listed row, one after the other, without the padding."""
    if not len(lists):
        return np.empty(0, np.int64)
    rows = np.concatenate([np.ravel(row) for row in lists])
    return rows[rows >= 0]


def _doubles(values: Numbers | Floats) -> Doubles:
    return np.asarray(values, np.float64)
