"""NDCG@10 and Recall@50 of scores over the catalogue; equal scores count at their expected rank.

Judgments are pooled: an item nobody judged is unknown, not irrelevant. So `all` ranks, for each query, the items that
were judged for it. Two other readings stand beside it. `judged_pool` ranks all items judged for any query and
`full_catalogue` ranks everything; both take an unjudged pair as irrelevant, which favours the search engine that
the pool was drawn from. Recall@50 is always of the full catalogue. Letters: I items, J judged items, Q queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles
from tqdm import tqdm

from benchmarks.search.data import Judged

NDCG_AT, RECALL_AT, LISTED = 10, 50, 20
Search = Callable[[int], NDArray[np.floating]]  # number of a query -> (I,) scores


@dataclass(frozen=True, slots=True)
class Scored:
    """What one method did: values of each query, and the head of each list."""

    values: Mapping[str, Mapping[str, Doubles]]  # stratum -> metric -> (Q,)
    lists: NDArray[np.int64]  # (Q, 20) rows


def score(search: Search, judged: Sequence[Judged], *, label: str) -> Scored:
    """Ask every query."""
    pool = np.unique(np.concatenate([one.rows for one in judged]))
    is_graded = any(len(np.unique(one.gains)) > 1 for one in judged)
    rows, lists = [], []
    for number, one in enumerate(tqdm(judged, desc=label, unit="query", leave=False, mininterval=1.0)):
        scores = search(number)
        gains = np.zeros(len(scores))
        gains[one.rows] = one.gains
        within = ndcg(scores[one.rows], one.gains) if is_graded else ndcg(scores[pool], gains[pool])
        found = recall(scores, one.rows[one.gains > 0])
        rows.append((within, found, ndcg(scores[pool], gains[pool]), ndcg(scores, gains)))
        lists.append(np.argsort(-scores, kind="stable")[:LISTED])
    table = np.array(rows)  # (Q, 4)
    metric, depth = f"ndcg@{NDCG_AT}", f"recall@{RECALL_AT}"
    values = {
        "all": {metric: table[:, 0], depth: table[:, 1]},
        "judged_pool": {metric: table[:, 2]},
        "full_catalogue": {metric: table[:, 3], depth: table[:, 1]},
    }
    return Scored(values, np.array(lists))


def ndcg(scores: NDArray[np.floating], gains: Doubles, *, cutoff: int = NDCG_AT) -> float:
    """Discounted gain of the first `cutoff` over the best possible; items of equal score share their mean gain."""
    cutoff = min(cutoff, len(scores))
    least = np.partition(scores, -cutoff)[-cutoff]
    near = np.flatnonzero(scores >= least)  # all that may be listed, ties at the edge included
    _, group = np.unique(-scores[near], return_inverse=True)  # best first
    mean = np.bincount(group, gains[near]) / np.bincount(group)
    listed = mean[np.sort(group)[:cutoff]]  # expected gain at each place
    discount = 1.0 / np.log2(np.arange(2, cutoff + 2))
    best = np.sort(gains)[::-1][:cutoff]
    return float((listed * discount).sum() / (best * discount).sum())


def recall(scores: NDArray[np.floating], relevant: NDArray[np.integer], *, cutoff: int = RECALL_AT) -> float:
    """Expected share of the relevant items among the first `cutoff`, of as many as fit there."""
    cutoff = min(cutoff, len(scores))
    least = np.partition(scores, -cutoff)[-cutoff]
    above = int((scores > least).sum())
    chance = (cutoff - above) / int((scores == least).sum())  # of an item at the edge
    found = scores[relevant]
    return float(((found > least) + chance * (found == least)).sum() / min(len(relevant), cutoff))
