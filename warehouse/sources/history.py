"""A shop's past as frames, ready to be loaded: what every source returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

TIMES = {"purchases": "purchased_at", "events": "event_time", "reviews": "reviewed_at"}


@dataclass(frozen=True, slots=True)
class History:
    """Frames with the columns of `warehouse.tables.RAW`; variant columns are JSON text, times naive UTC.

    `until` is the midnight after the newest row. `derived` is true where some rows follow from a rule.
    """

    source: str
    purchases: pl.DataFrame
    items: pl.DataFrame
    shoppers: pl.DataFrame
    events: pl.DataFrame
    until: datetime
    derived: bool
    shifted_weeks: int = 0
    reviews: pl.DataFrame | None = None  # None where the source has none

    def deliveries(self, count_days: int) -> Iterator[tuple[datetime, dict[str, pl.DataFrame]]]:
        """(loaded_at, frames): all but the last days in one bulk, then each day in the night that follows it."""
        first = self.until - timedelta(days=count_days)
        bulk = self._between(None, first)
        yield first - timedelta(microseconds=1), {"items": self.items, "shoppers": self.shoppers, **bulk}
        for day in range(count_days):
            start = first + timedelta(days=day)
            end = start + timedelta(days=1)
            yield end + timedelta(hours=2), self._between(start, end)

    def first_run(self, count_days: int) -> date:
        """The day on which the bulk is processed."""
        return (self.until - timedelta(days=count_days)).date()

    def _between(self, start: datetime | None, end: datetime) -> dict[str, pl.DataFrame]:
        """Return the rows of [start, end), by table."""
        frames = {}
        for name, time in TIMES.items():
            frame: pl.DataFrame | None = getattr(self, name)
            if frame is not None:
                kept = frame.filter(pl.col(time) < end)
                frames[name] = kept if start is None else kept.filter(pl.col(time) >= start)
        return frames


def midnight_after(moment: datetime) -> datetime:
    """The first midnight that is later than `moment`."""
    return datetime.combine(moment.date() + timedelta(days=1), datetime.min.time())
