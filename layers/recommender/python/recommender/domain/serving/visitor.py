"""The visitor of one request as arrays of item rows: the shopper's history and the visit so far.

Ids are looked up once here; candidates and features work on rows only, so that offline training, which has rows to
begin with, runs the same code. Letters: N distinct items bought, L items of the visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Doubles, Flags, Floats, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.posterior import STRENGTHS
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.visit import RECENT_HALF_LIFE_DAYS, PurchaseHistory, Session

SECONDS_PER_DAY: Final = 86_400.0
TOWER_ITEMS: Final = 256  # heaviest items of a history that the user tower reads
TOWER_HALF_LIFE_DAYS: Final = 150.0
VISIT_RETENTION: Final = 0.8  # weight of an item of the visit against the one after it


@dataclass(frozen=True, slots=True)
class Owned:
    """The shopper's purchases. Items that the bundle does not know are left out."""

    rows: Rows  # (N,) distinct, sorted
    orders: Doubles  # (N,) orders that contained the item
    last_on: Doubles  # (N,) days since the epoch
    first_on: Doubles  # (N,)
    recent: Doubles  # (N,) orders faded by age, as of last_on
    count_orders: int = 0

    def recent_at(self, now_days: float) -> Doubles:
        """(N,) orders faded by age, as of now."""
        age = np.maximum(now_days - self.last_on, 0.0)
        faded: Doubles = self.recent * np.exp2(-age / RECENT_HALF_LIFE_DAYS)
        return faded

    def places(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.intp], Flags]:
        """Where each of `rows` stands in the arrays (anywhere where absent), and whether it is owned."""
        if not len(self.rows):
            return np.zeros(len(rows), np.intp), np.zeros(len(rows), bool)
        place = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return place, self.rows[place] == rows


NOTHING_OWNED: Final = Owned(np.empty(0, np.int32), *(np.empty(0) for _ in range(4)))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Seen:
    """The visit: items in order of their events, and what the page is about. Every row is known to the bundle."""

    rows: Rows  # (L,) oldest first, repeats kept
    weights: Floats  # (L,) of the posterior's observations
    observations: Floats  # (L,)
    viewed: Rows  # items looked at, put in the cart or bought, oldest first
    anchors: Rows  # the page's item and the cart, else the visit's cart

    @property
    def focus(self) -> Rows:
        """Distinct items that content and co-purchase compare with: the anchors, then what was viewed, newest first."""
        both = np.concatenate([self.anchors, self.viewed[::-1]])
        _, first = np.unique(both, return_index=True)
        distinct: Rows = both[np.sort(first)]
        return distinct


def owned_items(bundle: Bundle, history: PurchaseHistory) -> Owned:
    """The history as rows."""
    if history.is_empty:
        return NOTHING_OWNED
    rows = bundle.rows_of(history.item_ids)
    orders, last_on, first_on = (
        np.asarray(values, np.float64) for values in (history.orders, history.last_on, history.first_on)
    )
    recent = np.asarray(history.recent, np.float64) if history.recent else evenly_spaced(orders, last_on, first_on)
    kept = np.flatnonzero(rows >= 0)
    kept = kept[np.argsort(rows[kept], kind="stable")]
    return Owned(rows[kept], orders[kept], last_on[kept], first_on[kept], recent[kept], history.count_orders)


def evenly_spaced(orders: Doubles, last_on: Doubles, first_on: Doubles) -> Doubles:
    """Faded orders at last_on if they were evenly spaced: the geometric sum of q = 0.5 ** (gap / half-life)."""
    gap = (last_on - first_on) / np.maximum(orders - 1.0, 1.0)
    q = np.minimum(np.exp2(-gap / RECENT_HALF_LIFE_DAYS), 1.0 - 1e-9)
    total: Doubles = (1.0 - q**orders) / (1.0 - q)
    return total


def seen_items(bundle: Bundle, session: Session, context: PageContext) -> Seen:
    """The visit and the page's anchors as rows."""
    evidence = [
        (item_id, STRENGTHS[event.event_name])
        for event in session.events
        if event.event_name in STRENGTHS
        for item_id in event.item_ids
    ]
    rows = bundle.rows_of([item_id for item_id, _ in evidence])
    known = rows >= 0
    weights = np.array([strength.weight for _, strength in evidence], np.float32)
    observations = np.array([strength.observation for _, strength in evidence], np.float32)
    viewed = bundle.rows_of(session.viewed)
    anchors = bundle.rows_of(context.anchors or session.cart)
    return Seen(rows[known], weights[known], observations[known], viewed[viewed >= 0], anchors[anchors >= 0])


def tower_input(owned: Owned, now_days: float) -> tuple[Rows, Floats]:
    """Prepare the user tower's input: up to TOWER_ITEMS rows, the one bought last at the end, equal times by row.

    Their weights are log(1 + orders) 0.5 ** (age / half-life); of a longer history the heaviest are read.
    """
    age = np.maximum(now_days - owned.last_on, 0.0)
    weights = np.log1p(owned.orders) * np.exp2(-age / TOWER_HALF_LIFE_DAYS)  # (N,)
    kept = np.argpartition(-weights, TOWER_ITEMS)[:TOWER_ITEMS] if len(weights) > TOWER_ITEMS else np.arange(len(age))
    kept = kept[np.lexsort((owned.rows[kept], owned.last_on[kept]))]
    return owned.rows[kept], weights[kept].astype(np.float32)


def visit_weights(count: int) -> Floats:
    """(count,) weights of the visit's items, the newest 1."""
    weights: Floats = (VISIT_RETENTION ** np.arange(count - 1, -1, -1)).astype(np.float32)
    return weights


def days_since_epoch(moment: datetime) -> float:
    """An aware time as days since the epoch (UTC)."""
    return moment.timestamp() / SECONDS_PER_DAY
