"""First purchases: the rate at which each item is tried, and its dependence on a shopper's taste.

    tried(j)      first purchases of j in four weeks for each shopper who had not bought it before
    taste z       unit vector of a history: sum over its items of weight * reading(item)
    tried(j | z)  tried(j) (1 + (z - centre) . slope_j), a ridge regression of first purchases on taste

What is bought again and again and what is tried are different things: staples are owned by those who want them, so
popularity predicts little of who is going to buy one for the first time.
Letters: I items, X items that histories are read by, N items that are tried often enough for a slope, D width.

Complements: the evidence of a visit's categories for every other category, from orders that hold both.

    lift(a, b) = log((n_ab + EVIDENCE) / (n_a n_b / n + EVIDENCE))      n_ab: orders with both, n: orders

Pairs of items meet too rarely to be counted for all; pairs of categories do not. Below 0 stand those that avoid each
other; a category's lift with itself is of orders with two of its items.
Letters: Q categories, K of them that are sold most, L items of the visit, C candidates.

Decisions: docs/decisions/ranker.md (100).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Floats, Rows

LOWEST, HIGHEST = 0.1, 20.0  # of 1 + lift: a linear model must not promise more
HALF_LIFE_DAYS: Final = 150.0


@dataclass(frozen=True, slots=True)
class Discovery:
    """First purchases as of a moment."""

    log_tried: Floats  # (I,) log of first purchases lately by shoppers who could make one
    log_first_share: Floats  # (I,) log of the share of its purchases that are first ones
    log_in_category: Floats  # (I,) log of its share in the first purchases of its category
    read: Rows  # (X,) rows that a taste is made of, sorted
    readings: Floats  # (X, D)
    listed: Rows  # (N,) rows with a slope, sorted
    slopes: Floats  # (N, D), over the item's own rate
    offsets: Floats  # (N,) -centre . slope


def taste(discovery: Discovery, rows: NDArray[np.integer], weights: NDArray[np.floating]) -> Floats | None:
    """(D,) unit vector of a history; None where it holds nothing that tastes are read by."""
    place, is_read = _places(discovery.read, rows)
    if not is_read.any():
        return None
    vector = np.asarray(weights, np.float32)[is_read] @ discovery.readings[place[is_read]]
    length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32) if length > 0.0 else None


def history_weights(
    orders: NDArray[np.floating], last_on: NDArray[np.floating], now_days: float
) -> NDArray[np.floating]:
    """(N,) what each item of a history counts: log(1 + orders), by half less each HALF_LIFE_DAYS."""
    age = np.maximum(now_days - last_on, 0.0)
    weights: NDArray[np.floating] = np.log1p(orders) * np.exp2(-age / HALF_LIFE_DAYS)
    return weights


def log_lift(discovery: Discovery, vector: Floats | None, rows: Rows) -> NDArray[np.floating]:
    """(C,) log of tried(j | z) / tried(j); 0 for items without a slope and shoppers without a taste."""
    place, has_slope = _places(discovery.listed, rows)
    lifts = np.zeros(len(rows))
    if vector is not None and has_slope.any():
        at = place[has_slope]
        lifts[has_slope] = _log(discovery.slopes[at] @ vector + discovery.offsets[at])
    return lifts


def most_tried(discovery: Discovery, vector: Floats | None) -> tuple[Rows, NDArray[np.floating]]:
    """(N,) rows with a slope and log tried(j | z) of each."""
    scores = discovery.log_tried[discovery.listed].astype(np.float64)
    if vector is not None:
        scores = scores + _log(discovery.slopes @ vector + discovery.offsets)
    return discovery.listed, scores


def _log(lift: NDArray[np.floating]) -> NDArray[np.floating]:
    found: NDArray[np.floating] = np.log(np.clip(1.0 + lift, LOWEST, HIGHEST))
    return found


def _places(known: Rows, rows: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each of `rows` stands among the sorted `known` (anywhere where absent), and whether it does."""
    if not len(known):
        return np.zeros(len(rows), np.intp), np.zeros(len(rows), bool)
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return place, known[place] == rows


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
    is_known = known >= 0
    if not is_known.any():
        return np.zeros(len(wanted)), np.zeros(len(wanted))
    pairs = complements.lifts[known[is_known][:, None], np.maximum(places, 0)[None, :]].astype(np.float64)  # (L, C)
    pairs[:, places < 0] = 0.0
    mean = weights[is_known] @ pairs / max(float(weights.sum()), 1e-9)
    return mean, pairs.max(axis=0)
