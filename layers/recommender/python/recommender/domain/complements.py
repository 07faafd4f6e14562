"""Categories that go together in an order: what the items of a visit say of every other item, bought together or not.

    lift(a, b) = log((n_ab + EVIDENCE) / (n_a n_b / n + EVIDENCE))      n_ab: orders with both, n: orders

Pairs of items meet too rarely to be counted for all; pairs of categories do not. Below 0 stand those that avoid each
other; a category's lift with itself is of orders with two of its items.
Letters: Q categories, K of them that are sold most, L items of the visit, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.domain.arrays import Rows


@dataclass(frozen=True, slots=True)
class Complements:
    """Lifts between the categories that are sold most."""

    place: Rows  # (Q,) of each category in `lifts`; -1 where it is sold too little
    lifts: NDArray[np.float16]  # (K, K)


def visit_lifts(
    complements: Complements, focus: Rows, weights: NDArray[np.floating], wanted: Rows
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """(C,) weighted mean and (C,) maximum of the lifts that focus categories (L,) give to `wanted` (C,)."""
    known, places = complements.place[focus], complements.place[wanted]
    told = known >= 0
    if not told.any():
        return np.zeros(len(wanted)), np.zeros(len(wanted))
    pairs = complements.lifts[known[told][:, None], np.maximum(places, 0)[None, :]].astype(np.float64)  # (L, C)
    pairs[:, places < 0] = 0.0
    mean = weights[told] @ pairs / max(float(weights.sum()), 1e-9)
    return mean, pairs.max(axis=0)
