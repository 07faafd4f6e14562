"""One ranking out of several: reciprocal ranks, or a weighted mix of shares.

    rank     score_j = sum over lists of weight_l / (constant + rank_l(j))        (Cormack et al. 2009)
    share    score_j = sum over lists of weight_l * score_lj / sum of list l's scores
A list that lacks an item adds nothing for it. Reciprocal ranks make many exact ties, so ties are broken by rule: the
better rank in the first list wins, then in the second, and so on, then the lower row.

Letters: L lists, N distinct items in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.domain.arrays import Doubles, Floats, Rows

CONSTANT = 60.0

RankedList = tuple[NDArray[np.integer], NDArray[np.floating]]  # rows and scores > 0, best first


@dataclass(frozen=True, slots=True)
class Fusion:
    """How lists are joined: by reciprocal rank or by share of score, with one weight a list."""

    by: Literal["rank", "share"]
    weights: tuple[float, ...]
    constant: float = CONSTANT


def fuse(lists: Sequence[RankedList], fusion: Fusion, *, limit: int) -> tuple[Rows, Floats]:
    """Up to `limit` rows and fused scores, best first; items whose lists all have weight 0 are left out."""
    sizes = [len(rows) for rows, _ in lists]
    found, place = np.unique(np.concatenate([rows for rows, _ in lists]), return_inverse=True)  # (N,)
    values = [weight * _worth(listed, fusion) for listed, weight in zip(lists, fusion.weights, strict=True)]
    scores = np.bincount(place, weights=np.concatenate(values), minlength=len(found))  # (N,)
    ranks = np.full((len(lists), len(found)), np.iinfo(np.int32).max, np.int32)  # (L, N)
    ranks[np.repeat(np.arange(len(lists)), sizes), place] = np.concatenate([np.arange(size) for size in sizes])
    order = np.lexsort((found, *ranks[::-1], -scores))
    order = order[scores[order] > 0][:limit]
    return found[order].astype(np.int32), scores[order].astype(np.float32)


def _worth(listed: RankedList, fusion: Fusion) -> Doubles:
    """What a list adds for each of its items before weighting."""
    scores = np.asarray(listed[1], np.float64)
    if fusion.by == "rank":
        return 1.0 / (fusion.constant + np.arange(1.0, len(scores) + 1.0))
    total = scores.sum()
    return scores / total if total > 0 else scores
