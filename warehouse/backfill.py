"""A range of days again, or for the first time: in pieces that fit one transaction each, oldest first.

Each piece is one run over its range of load times. Because every step merges by business key and looks at
load times only, that equals the daily runs of the range; `fingerprints` before and after say so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING

from recommender.contracts.fields import problem

from warehouse.pipeline import DayRun, run_range

if TYPE_CHECKING:
    from warehouse.engine import Connection

DAYS_AT_ONCE = 31


def backfill(
    connection: Connection,
    first: date,
    last: date,
    *,
    days_at_once: int = DAYS_AT_ONCE,
    holder: str = "",
    on_step: Callable[[str], None] = lambda step: None,
) -> list[DayRun]:
    """Run all days from `first` to `last`; one result a piece. What is done stays where a later piece fails."""
    return [
        run_range(connection, start, end, holder=holder, on_step=on_step)
        for start, end in pieces(first, last, days_at_once)
    ]


def pieces(first: date, last: date, days_at_once: int) -> list[tuple[date, date]]:
    """The range cut into (first, last) of at most `days_at_once` days."""
    if first > last:
        raise problem("/to", str(last), f"not before {first}")
    if days_at_once < 1:
        raise problem("/days_at_once", str(days_at_once), "at least 1")
    count = (last - first).days + 1
    starts = (first + timedelta(days=offset) for offset in range(0, count, days_at_once))
    return [(start, min(start + timedelta(days=days_at_once - 1), last)) for start in starts]
