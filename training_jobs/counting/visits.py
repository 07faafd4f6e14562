"""Visits as sequences of item rows: recorded sessions, and baskets for the days before the first recording.

A shop has years of orders and, at first, few recorded sessions. A basket is the outcome of one visit, so baskets stand
in for visits until the first recorded event. Derived events are left out: a rule made them from these same baskets.
Sources sort the lines of an order by product, so a basket is shuffled, with a fixed seed. Letters: S visits.

Decisions: docs/decisions/next-item.md (033).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from recommender.contracts.event_kinds import EVENT_KINDS, VIEWED
from recommender.domain.models.arrays import Counts, Doubles, Rows

from training_jobs.counting.lines import Lines, days_of, with_rows
from training_jobs.exports import Exports

ACTIVE = tuple(name for name, kind in EVENT_KINDS.items() if VIEWED in kind.effects)  # as Session.viewed
LONGEST = 50  # items of a visit that are kept, the newest
NEWEST = 1_000_000  # visits that are kept
SEED = 1


@dataclass(frozen=True, slots=True)
class Visits:
    """S visits in order of their end."""

    offsets: Counts  # (S + 1,) into items
    items: Rows
    days: Doubles  # (S,) end of the visit, days since the epoch
    count_baskets: int = 0  # of the S: baskets standing in for visits

    def __len__(self) -> int:
        return len(self.days)


def read_visits(exports: Exports, lines: Lines, *, until: datetime) -> Visits:
    """Recorded visits before `until`, and baskets from before the first of them."""
    recorded = _recorded(exports, until)
    first_day = recorded["days"].min() if recorded.height else None
    baskets = _baskets(lines, before=float("inf") if first_day is None else float(first_day))
    both = pl.concat([baskets, recorded])
    kept = (
        both.group_by("visit", maintain_order=True)
        .agg(pl.col("row").tail(LONGEST), pl.col("days").max())
        .sort("days", "visit")
        .tail(NEWEST)
    )
    sizes = kept["row"].list.len().to_numpy()
    return Visits(
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        items=kept["row"].explode().to_numpy().astype(np.int32) if kept.height else np.empty(0, np.int32),
        days=kept["days"].to_numpy().astype(np.float64),
        count_baskets=int((kept["visit"] >= 0).sum()),
    )


def _recorded(exports: Exports, until: datetime) -> pl.DataFrame:
    """(visit < 0, row, days) of each active event in order; the same item twice in a row is once in it."""
    active = exports.session_events.filter(
        (pl.col("event_time") < until)
        & pl.col("event_name").is_in(ACTIVE)
        & pl.col("item_id").is_not_null()
        & ~pl.col("derived").fill_null(value=False)
    )
    return (
        with_rows(active, exports)
        .select((-pl.col("session_id").rank("dense").cast(pl.Int64)).alias("visit"), "row", days_of("event_time"))
        .sort("visit", "days", maintain_order=True)
        .filter((pl.col("row") != pl.col("row").shift(1).over("visit")).fill_null(value=True))
    )


def _baskets(lines: Lines, *, before: float) -> pl.DataFrame:
    """(visit >= 0, row, days) of the orders before that day."""
    frame = pl.DataFrame({"visit": lines.order.astype(np.int64), "row": lines.item, "days": lines.days})
    shuffled = np.random.default_rng(SEED).permutation(len(lines))
    return frame[shuffled].filter(pl.col("days") < before)
