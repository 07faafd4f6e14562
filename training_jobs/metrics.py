"""What an evaluation measures: ranked lists against what was bought afterwards. The full catalogue, always.

Equal scores are ordered by item row: a rule fixed before anything is measured. Intervals are percentiles of a
bootstrap over shoppers (or over groups of answers). Letters: I items, K length of a list, U shoppers, N answers,
G groups, M measures, R bootstrap rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles, Floats, Rows
from recommender.domain.serving.candidates import top_rows

LISTED = 20
MODULE = 10  # places of the module that a shopper sees
ROUNDS = 1000
CONFIDENCE = 0.95
TAILS = (50.0 * (1.0 - CONFIDENCE), 50.0 * (1.0 + CONFIDENCE))  # percentiles at the ends of an interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over shoppers with its bootstrap interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Rounded to five places."""
        return {"value": round(self.value, 5), "low": round(self.low, 5), "high": round(self.high, 5)}


def best_rows(scores: NDArray[np.floating], excluded: NDArray[np.integer], count: int = LISTED) -> Rows:
    """The `count` best rows of (I,) scores, without `excluded`; ties by row. -inf is never listed."""
    open_scores = np.array(scores, np.float64)
    open_scores[excluded] = -np.inf
    listed = top_rows(open_scores, count)
    return listed[np.isfinite(open_scores[listed])]


def recall(listed: NDArray[np.integer], targets: NDArray[np.integer], k: int = LISTED) -> float:
    """Hits among the first k over min(k, targets)."""
    return float(np.isin(listed[:k], targets).sum()) / min(k, len(targets))


def ndcg(listed: NDArray[np.integer], targets: NDArray[np.integer], k: int = LISTED) -> float:
    """Discounted gain 1 / log2(rank + 1) of the hits over that of a perfect list."""
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    hits = np.isin(listed[:k], targets)
    return float(discounts[: len(hits)][hits].sum() / discounts[: min(k, len(targets))].sum())


def bootstrap(
    values: NDArray[np.floating],
    rng: np.random.Generator,
    rounds: int = ROUNDS,
    *,
    groups: NDArray[np.integer] | None = None,
) -> Estimate:
    """The mean of (N,) values and the interval of its resampled means; nan where there is no value.

    Without `groups` every value is drawn by itself; with (N,) labels whole groups are drawn (one shopper's answers are
    alike, so treating them as independent would make the interval too narrow).
    """
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"))
    means = resampled_means(np.asarray(values, np.float64)[:, None], rng, rounds, groups=groups)[:, 0]  # (R,)
    low, high = np.percentile(means, TAILS)
    value = float(np.mean(values))
    # A mean without spread is its own interval, whatever the order of the additions does to its last bit.
    return Estimate(value, min(float(low), value), max(float(high), value))


def resampled_means(
    values: Doubles, rng: np.random.Generator, rounds: int = ROUNDS, *, groups: NDArray[np.integer] | None = None
) -> Doubles:
    """(R, M) means of M columns of (N, M) values over the same R draws of G groups with replacement."""
    sums, sizes = _by_group(values, groups)  # (G, M), (G,)
    means = []
    for _ in range(rounds):
        times = np.bincount(rng.integers(0, len(sizes), len(sizes)), minlength=len(sizes)).astype(np.float64)  # (G,)
        means.append(times @ sums / (times @ sizes))
    return np.array(means).reshape(rounds, values.shape[1])


def _by_group(values: Doubles, groups: NDArray[np.integer] | None) -> tuple[Doubles, Doubles]:
    """(G, M) sums and (G,) sizes of groups with any labels; one group a row without labels."""
    if groups is None:
        return np.ascontiguousarray(values, np.float64), np.ones(len(values))
    _, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(place.max()) + 1, values.shape[1]))
    np.add.at(sums, place, values)
    return sums, np.bincount(place).astype(np.float64)


def summarise(
    runs: Sequence[Sequence[NDArray[np.integer]]],
    targets: Sequence[NDArray[np.integer]],
    *,
    count_items: int,
    rng: np.random.Generator,
    margin_share: Floats | None = None,
) -> dict[str, object]:
    """The metrics of one method on one stratum: a mean over runs (seeds) for each shopper, then over shoppers.

    `runs` holds for each run one list a shopper, parallel to `targets`.
    """
    measures = {"recall@20": recall, "ndcg@20": ndcg, "module_hit_rate@10": _is_hit}
    estimates = {
        name: bootstrap(_means(measure, runs, targets), rng).to_json() if targets else None
        for name, measure in measures.items()
    }
    shown = [len(np.unique(np.concatenate([listed[:LISTED] for listed in lists]))) for lists in runs if lists]
    return {
        **estimates,
        "coverage": round(float(np.mean(shown)) / max(count_items, 1), 5) if shown else 0.0,
        "margin@10": _margin([listed for lists in runs for listed in lists], margin_share),
        "shoppers": len(targets),
    }


def per_shopper(lists: Sequence[NDArray[np.integer]], targets: Sequence[NDArray[np.integer]]) -> Doubles:
    """(U,) Recall@20 of each shopper."""
    return np.array([recall(listed, wanted) for listed, wanted in zip(lists, targets, strict=True)], np.float64)


def ratio(
    above: Doubles,
    below: Doubles,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
    *,
    groups: NDArray[np.integer] | None = None,
) -> Estimate | None:
    """The ratio of two means over the same questions, resampled together; None where what is below may be zero."""
    if not len(above) or not float(np.mean(below)) > 0.0:
        return None
    seed = int(rng.integers(2**63))  # both columns meet the same draws, each in a product of its own: equals stay equal
    numerators, denominators = (
        resampled_means(side[:, None], np.random.default_rng(seed), rounds, groups=groups)[:, 0]
        for side in (np.asarray(above, np.float64), np.asarray(below, np.float64))
    )
    if np.percentile(denominators, TAILS[0]) <= 0.0:
        return None
    # Resamples in which nobody below has a hit lie beyond the interval.
    ratios = np.divide(numerators, denominators, out=np.full(rounds, np.inf), where=denominators > 0.0)
    low, high = np.percentile(ratios, TAILS, method="nearest")
    return Estimate(float(np.mean(above) / np.mean(below)), float(low), float(high)) if np.isfinite(high) else None


def _means(
    measure: Callable[[NDArray[np.integer], NDArray[np.integer]], float],
    runs: Sequence[Sequence[NDArray[np.integer]]],
    targets: Sequence[NDArray[np.integer]],
) -> Doubles:
    """(U,) the measure of each shopper, averaged over runs."""
    found = [[measure(listed, wanted) for listed, wanted in zip(lists, targets, strict=True)] for lists in runs]
    means: Doubles = np.mean(np.array(found, np.float64), axis=0)
    return means


def _is_hit(listed: NDArray[np.integer], targets: NDArray[np.integer]) -> float:
    """1 where the module's places hold a target."""
    return float(np.isin(listed[:MODULE], targets).any())


def value_of(metrics: Mapping[str, object], name: str) -> float:
    """The number of a metric, whether it stands with an interval or alone; nan where it is absent."""
    found = metrics.get(name)
    if isinstance(found, Mapping):
        found = found.get("value")
    return float(found) if isinstance(found, int | float) else float("nan")


def _margin(lists: Sequence[NDArray[np.integer]], margin_share: Floats | None) -> float | None:
    """Mean margin share of the first ten places; None where the catalogue has no recorded margins."""
    if margin_share is None or not lists:
        return None
    return round(float(np.mean([margin_share[listed[:MODULE]].mean() for listed in lists if len(listed)])), 5)
