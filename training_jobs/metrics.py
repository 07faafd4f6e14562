"""The metrics of ranked lists: recall, NDCG, hit rate, reciprocal rank, coverage and popularity.

Jobs and benchmarks share this module, so one name means one formula everywhere. A list is (K,) item rows, best first;
scores are (I,), one for each item. `best_rows` lists equal scores in order of the row; the metrics that read scores
instead of lists count equal scores at their expected rank. Letters: I items, K places of a list, Q questions, T
targets, U shoppers.

Decisions: docs/decisions/benchmarks.md (036).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles, Floats, Rows
from recommender.domain.serving.candidates import top_rows

from training_jobs.intervals import PLACES, bootstrap

LISTED: Final = 20
MODULE: Final = 10  # places of the module that a shopper sees

Integers = NDArray[np.integer]
Lists = Integers | Sequence[Integers]  # (Q, K) rows, -1 behind a shorter list, or Q arrays of rows
Metric = Callable[[Integers, Integers], float]  # list (K,), targets (T,) -> value

# Gain of a hit at each rank, ranks counted from 1.0; beyond the cutoff a hit gains nothing.
GAINS: Final[Mapping[str, Callable[[Doubles], Doubles]]] = {
    "hr": np.ones_like,
    "recall": np.ones_like,
    "mrr": lambda ranks: 1.0 / ranks,
    "ndcg": lambda ranks: 1.0 / np.log2(ranks + 1.0),
}


def best_rows(scores: NDArray[np.floating], excluded: Integers, count: int = LISTED) -> Rows:
    """(K,) the `count` best rows of (I,) scores, without the `excluded` rows; ties by row. -inf is never listed."""
    open_scores = np.array(scores, np.float64)
    open_scores[excluded] = -np.inf
    listed = top_rows(open_scores, count)
    return listed[np.isfinite(open_scores[listed])]


def recall(listed: Integers, targets: Integers, k: int = LISTED) -> float:
    """Hits among the first k places of a list (K,), over min(k, targets); `targets` (T,)."""
    return float(np.isin(listed[:k], targets).sum()) / min(k, len(targets))


def ndcg(listed: Integers, targets: Integers, k: int = LISTED) -> float:
    """Gain 1 / log2(rank + 1) of the hits of a list (K,) over the gain of a perfect list; `targets` (T,)."""
    discounts = GAINS["ndcg"](np.arange(1.0, k + 1.0))
    hits = np.isin(listed[:k], targets)
    return float(discounts[: len(hits)][hits].sum() / discounts[: min(k, len(targets))].sum())


def hit_rate(listed: Integers, targets: Integers, k: int = MODULE) -> float:
    """1 where the first k places of a list (K,) hold one of the `targets` (T,)."""
    return float(np.isin(listed[:k], targets).any())


def recall_by_shopper(lists: Sequence[Integers], targets: Sequence[Integers]) -> Doubles:
    """(U,) Recall@20 of each shopper; `lists` and `targets` hold U arrays of rows each."""
    return np.array([recall(listed, wanted) for listed, wanted in zip(lists, targets, strict=True)], np.float64)


def target_ranks(
    rows: Integers, scores: NDArray[np.floating], targets: Integers, *, unlisted: int
) -> tuple[Integers, Integers]:
    """(Q,) items listed above each target, and (Q,) items that share its score, itself included.

    `rows` (Q, K) are lists with -1 behind a shorter one, `scores` (Q, K) their scores, `targets` (Q,) one item each.
    A target that is not listed gets `unlisted` items above it.
    """
    is_listed = rows >= 0
    is_target = (rows == targets[:, None]) & is_listed  # (Q, K)
    is_found = is_target.any(axis=1)
    own = np.where(is_found, (scores * is_target).sum(axis=1), np.inf)[:, None]  # (Q, 1)
    above = np.where(is_found, ((scores > own) & is_listed).sum(axis=1), unlisted)
    equal = np.where(is_found, ((scores == own) & is_listed).sum(axis=1), 1)
    return above, equal


def expected_metrics(above: Integers, equal: Integers, names: Sequence[tuple[str, int]]) -> dict[str, Doubles]:
    """`metric@cutoff` -> (Q,) expected value over the order of equal scores, for (metric, cutoff) in `names`.

    Each question has one target: `above` (Q,) items score better, `equal` (Q,) as much, itself included, so each of
    the ranks above + 1 .. above + equal has the same chance.
    """
    found = {}
    for name, cutoff in names:
        gains = GAINS[name](np.arange(1.0, cutoff + 1.0))
        total = np.concatenate([[0.0], np.cumsum(gains)])  # gain of the first n ranks
        first, last = np.minimum(above, cutoff), np.minimum(above + equal, cutoff)
        found[f"{name}@{cutoff}"] = (total[last] - total[first]) / equal
    return found


def expected_rank(scores: NDArray[np.floating], target: int, excluded: Sequence[int] = ()) -> float:
    """The expected rank of one row of (I,) scores, without the `excluded` rows; equal scores share their mean rank."""
    rivals = np.delete(scores, [target, *excluded])
    return 1.0 + float((rivals > scores[target]).sum()) + 0.5 * float((rivals == scores[target]).sum())


def graded_ndcg(scores: NDArray[np.floating], gains: Doubles, cutoff: int) -> float:
    """NDCG of (I,) scores with (I,) graded gains; items of equal score share their mean gain."""
    cutoff = min(cutoff, len(scores))
    least = np.partition(scores, -cutoff)[-cutoff]
    near = np.flatnonzero(scores >= least)  # all that may be listed, ties at the edge included
    _, group = np.unique(-scores[near], return_inverse=True)  # best first
    mean = np.bincount(group, gains[near]) / np.bincount(group)
    listed = mean[np.sort(group)[:cutoff]]  # expected gain at each place
    discounts = GAINS["ndcg"](np.arange(1.0, cutoff + 1.0))
    best = np.sort(gains)[::-1][:cutoff]
    return float((listed * discounts).sum() / (best * discounts).sum())


def expected_recall(scores: NDArray[np.floating], relevant: Integers, cutoff: int) -> float:
    """Expected share of the `relevant` (T,) rows among the first `cutoff` of (I,) scores, of as many as fit there."""
    cutoff = min(cutoff, len(scores))
    least = np.partition(scores, -cutoff)[-cutoff]
    above = int((scores > least).sum())
    chance = (cutoff - above) / int((scores == least).sum())  # of an item at the edge
    found = scores[relevant]
    return float(((found > least) + chance * (found == least)).sum() / min(len(relevant), cutoff))


def coverage(lists: Lists, count_items: int) -> float:
    """Share of the catalogue's `count_items` that occur in any list."""
    return len(np.unique(_listed(lists))) / count_items if count_items else 0.0


def popularity_percentile(lists: Lists, popularity: NDArray[np.floating]) -> float:
    """Mean percentile, 0 to 1, of the listed items among (I,) popularities; equal ones share their middle.

    A method that lists nothing but best-sellers is near 1, one that draws items blindly near 0.5; nan without a list.
    """
    listed = _listed(lists)
    if not len(listed):
        return float("nan")
    values = np.asarray(popularity, np.float64)
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return float(((below + up_to) / (2.0 * len(values)))[listed].mean())


def breadth(lists: Lists, popularity: NDArray[np.floating]) -> dict[str, float]:
    """coverage@20 and popularity@20 as a benchmark prints them; `popularity` (I,) in train."""
    heads = [row[:LISTED] for row in lists]
    found = popularity_percentile(heads, popularity)
    return {
        f"coverage@{LISTED}": round(coverage(heads, len(popularity)), PLACES),
        **({f"popularity@{LISTED}": round(found, PLACES)} if np.isfinite(found) else {}),
    }


def summarise(
    runs: Sequence[Sequence[Integers]],
    targets: Sequence[Integers],
    *,
    count_items: int,
    rng: np.random.Generator,
    margin_share: Floats | None = None,
) -> dict[str, object]:
    """The metrics of one method on one stratum: a mean over runs (seeds) for each shopper, then over shoppers.

    Each run holds U lists, parallel to the U arrays of `targets`; `margin_share` (I,).
    """
    metrics: dict[str, Metric] = {"recall@20": recall, "ndcg@20": ndcg, "module_hit_rate@10": hit_rate}
    estimates = {
        name: bootstrap(_means(metric, runs, targets), rng).to_json() if targets else None
        for name, metric in metrics.items()
    }
    shown = [len(np.unique(np.concatenate([listed[:LISTED] for listed in lists]))) for lists in runs if lists]
    return {
        **estimates,
        "coverage": round(float(np.mean(shown)) / max(count_items, 1), PLACES) if shown else 0.0,
        "margin@10": _margin([listed for lists in runs for listed in lists], margin_share),
        "shoppers": len(targets),
    }


def value_of(metrics: Mapping[str, object], name: str) -> float:
    """The number of a metric, whether it stands with an interval or alone; nan where it is absent."""
    found = metrics.get(name)
    if isinstance(found, Mapping):
        found = found.get("value")
    return float(found) if isinstance(found, int | float) else float("nan")


def _means(metric: Metric, runs: Sequence[Sequence[Integers]], targets: Sequence[Integers]) -> Doubles:
    """(U,) the metric of each shopper, averaged over runs."""
    found = [[metric(listed, wanted) for listed, wanted in zip(lists, targets, strict=True)] for lists in runs]
    means: Doubles = np.mean(np.array(found, np.float64), axis=0)
    return means


def _margin(lists: Sequence[Integers], margin_share: Floats | None) -> float | None:
    """Mean margin share of the first ten places; None where the catalogue has no recorded margins."""
    if margin_share is None or not lists:
        return None
    return round(float(np.mean([margin_share[listed[:MODULE]].mean() for listed in lists if len(listed)])), PLACES)


def _listed(lists: Lists) -> Integers:
    """Every listed row, one after the other, without the padding."""
    if not len(lists):
        return np.empty(0, np.int64)
    rows = np.concatenate([np.ravel(row) for row in lists])
    return rows[rows >= 0]
