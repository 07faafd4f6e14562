"""What an evaluation measures: ranked lists against what was bought afterwards. The full catalogue, always.

Equal scores are ordered by item row: a rule fixed before anything is measured. Intervals are percentiles of a
bootstrap over shoppers. Letters: I items, K length of a list, U shoppers, R bootstrap rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Doubles, Floats, Rows
from recommender.domain.candidates import top_rows

LISTED = 20
MODULE = 10  # places of the module that a shopper sees
ROUNDS = 1000
CONFIDENCE = 0.95


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


def bootstrap(values: NDArray[np.floating], rng: np.random.Generator, rounds: int = ROUNDS) -> Estimate:
    """The mean of (U,) values and the interval of its resampled means; nan where there is no value."""
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"))
    means = np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(rounds)])  # (R,)
    tail = 100.0 * (1.0 - CONFIDENCE) / 2.0
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return Estimate(float(np.mean(values)), float(low), float(high))


def summarise(
    lists: Sequence[NDArray[np.integer]],
    targets: Sequence[NDArray[np.integer]],
    *,
    count_items: int,
    rng: np.random.Generator,
    margin_share: Floats | None = None,
) -> dict[str, object]:
    """The metrics of one method on one stratum; `lists` and `targets` are parallel, one entry a shopper."""
    recalls = per_shopper(lists, targets)
    gains = np.array([ndcg(listed, wanted) for listed, wanted in zip(lists, targets, strict=True)])
    hits = np.array([recall(listed, wanted, MODULE) > 0 for listed, wanted in zip(lists, targets, strict=True)])
    shown = np.unique(np.concatenate([listed[:LISTED] for listed in lists])) if lists else np.empty(0)
    return {
        "recall@20": bootstrap(recalls, rng).to_json() if lists else None,
        "ndcg@20": bootstrap(gains, rng).to_json() if lists else None,
        "module_hit_rate@10": bootstrap(hits.astype(np.float64), rng).to_json() if lists else None,
        "coverage": round(len(shown) / max(count_items, 1), 5),
        "margin@10": _margin(lists, margin_share),
        "shoppers": len(lists),
    }


def per_shopper(lists: Sequence[NDArray[np.integer]], targets: Sequence[NDArray[np.integer]]) -> Doubles:
    """(U,) Recall@20 of each shopper."""
    return np.array([recall(listed, wanted) for listed, wanted in zip(lists, targets, strict=True)], np.float64)


def ratio(above: Doubles, below: Doubles, rng: np.random.Generator, rounds: int = ROUNDS) -> Estimate:
    """The ratio of two means over the same shoppers, resampled together."""
    picks = rng.integers(0, len(above), (rounds, len(above)))  # (R, U)
    ratios = above[picks].mean(axis=1) / np.maximum(below[picks].mean(axis=1), 1e-12)
    tail = 100.0 * (1.0 - CONFIDENCE) / 2.0
    low, high = np.percentile(ratios, [tail, 100.0 - tail])
    return Estimate(float(above.mean() / max(float(below.mean()), 1e-12)), float(low), float(high))


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
