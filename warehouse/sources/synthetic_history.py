"""A seeded history of any size for measuring the warehouse: synthetic from end to end, every event marked derived.

Each day is drawn by itself from (seed, day), so a day is the same whatever part delivers it, and memory is bounded
by one part. `synthetic_shop` states size and shares, `synthetic_catalogue` the items, `synthetic_visits` a day with its
`synthetic_lists` and `synthetic_orders`. Here days become deliveries: what is late in one comes in a later one.

Decisions: docs/decisions/benchmarks.md (176).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from warehouse.sources.synthetic_catalogue import delivered_items, draw_catalogue
from warehouse.sources.synthetic_shop import Shop
from warehouse.sources.synthetic_visits import draw_day

DRAWN = ("events", "purchases", "reviews")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of the days [first, last): frames with the columns of `warehouse.tables.RAW`."""

    first: date
    last: date
    frames: dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Part:
    """Days [first, last) delivered at once; `events` sets the number of each day, else the seasons do."""

    first: date
    last: date
    events: int | None = None


def parts(shop: Shop, days_per_part: int) -> list[Part]:
    """The whole history in parts of equal length; the last may be shorter."""
    end = shop.first + timedelta(days=shop.days)
    starts = [shop.first + timedelta(days=day) for day in range(0, shop.days, days_per_part)]
    return [Part(start, min(start + timedelta(days=days_per_part), end)) for start in starts]


def deliveries(shop: Shop, wanted: Iterable[Part]) -> Iterator[Delivery]:
    """One delivery a part, in order of time; what is late in one comes in a later one."""
    catalogue = draw_catalogue(shop)
    waiting: dict[str, list[pl.DataFrame]] = {table: [] for table in DRAWN}
    listed = 0
    for part in wanted:
        drawn = [draw_day(shop, catalogue, day, part.events) for day in _days(part)]
        frames = {}
        for table in DRAWN:
            rows = pl.concat([*waiting[table], *(day[table] for day in drawn)])
            is_due = rows["delivered_at"] < datetime.combine(part.last, time())
            waiting[table] = [rows.filter(~is_due)]
            frames[table] = rows.filter(is_due).drop("delivered_at")
        until = (part.last - shop.first).days
        frames["items"] = delivered_items(catalogue, listed, until)
        if listed == 0:
            frames["shoppers"] = _shoppers(shop)
        listed = until
        yield Delivery(part.first, part.last, frames)


def write(delivery: Delivery, folder: Path) -> list[Path]:
    """The delivery as Parquet in `folder`, a file a table, named after its days."""
    written = []
    for table, frame in delivery.frames.items():
        path = folder / f"{table}_{delivery.first}_{delivery.last}.parquet"
        frame.write_parquet(path)
        written.append(path)
    return written


def _days(part: Part) -> list[date]:
    return [part.first + timedelta(days=day) for day in range((part.last - part.first).days)]


def _shoppers(shop: Shop) -> pl.DataFrame:
    number = pl.DataFrame({"number": np.arange(shop.shoppers)})
    return number.select(pl.format("p{}", "number").alias("shopper_id"), pl.lit('{"age":"25-34"}').alias("attributes"))
