"""A seeded history of any size for measuring the warehouse: synthetic from end to end, every event marked derived.

Each day is drawn by itself from (seed, day), so a day is the same whatever part delivers it, and memory is bounded
by one part. Weeks and years have seasons, items are born and die, 28 % of sessions are unknown visitors, one event in
a hundred arrives up to 30 days late, one in two hundred arrives twice, one order in fifty is refunded days later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

UNKNOWN_SHARE: Final = 0.28
LATE_SHARE: Final = 0.01
TWICE_SHARE: Final = 0.005
REFUND_SHARE: Final = 0.02
REVIEW_SHARE: Final = 0.05
SEARCH_SHARE: Final = 0.25
CART_SHARE: Final = 0.12  # of views
ORDER_SHARE: Final = 0.4  # of sessions with a cart
VIEWS_PER_SESSION: Final = 4.0
EVENTS_PER_SESSION: Final = 4.87  # what the shares above come to
WEEK: Final = (0.95, 0.9, 0.92, 0.97, 1.05, 1.15, 1.06)  # Monday first
TEXTS: Final = (
    "event_id",
    "event_name",
    "visitor_id",
    "session_id",
    "user_id",
    "items",
    "search_term",
    "transaction_id",
)
SECOND: Final = 1_000_000  # microseconds
DAY: Final = 86_400 * SECOND
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shop:
    """How large the history is. `events` is the number over all days, reached within some percent."""

    events: int
    days: int
    first: date = date(2023, 1, 1)
    seed: int = 7
    shoppers: int = 40_000
    items: int = 5_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is delivered for the days [first, last): frames with the columns of `warehouse.tables.RAW`."""

    first: date
    last: date
    frames: dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Part:
    """Days [first, last) delivered at once; `events` sets the number of each day, else the seasons do."""

    first: date
    last: date
    events: int | None = None


@dataclass(frozen=True, slots=True)
class _Catalogue:
    born: Numbers  # day of the first sale, counted from the first day; [items]
    dies: Numbers
    weight: NDArray[np.float64] = field(repr=False)
    price: Numbers = field(repr=False)


def parts(shop: Shop, days_per_part: int) -> list[Part]:
    """The whole history in parts of equal length; the last may be shorter."""
    end = shop.first + timedelta(days=shop.days)
    starts = [shop.first + timedelta(days=day) for day in range(0, shop.days, days_per_part)]
    return [Part(start, min(start + timedelta(days=days_per_part), end)) for start in starts]


def deliveries(shop: Shop, wanted: Iterable[Part]) -> Iterator[Delivery]:
    """One delivery a part, in order of time; what is late in one comes in a later one."""
    catalogue = _catalogue(shop)
    waiting = pl.DataFrame()
    listed = 0
    for part in wanted:
        drawn = [_day(shop, catalogue, day, part.events) for day in _days(part)]
        events = pl.concat([waiting, *(frames["events"] for frames in drawn)], how="diagonal")
        is_due = events["delivered_at"] < datetime.combine(part.last, time())
        waiting = events.filter(~is_due)
        until = (part.last - shop.first).days
        frames = {
            "events": events.filter(is_due).drop("delivered_at"),
            "purchases": pl.concat([frames["purchases"] for frames in drawn]),
            "reviews": pl.concat([frames["reviews"] for frames in drawn]),
            "items": _items(catalogue, listed, until),
        }
        if listed == 0:
            frames["shoppers"] = _shoppers(shop)
        listed = until
        yield Delivery(part.first, part.last, frames)


def write(shop: Shop, folder: Path, *, days_per_part: int = 31) -> list[Path]:
    """The history as Parquet, a file a table and part, one part in memory at a time."""
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for delivery in deliveries(shop, parts(shop, days_per_part)):
        for table, frame in delivery.frames.items():
            path = folder / f"{table}_{delivery.first}_{delivery.last}.parquet"
            frame.write_parquet(path)
            written.append(path)
    return written


def season(day: date) -> float:
    """How busy a day is, 1 on average: the week's course, a summer's dip, the weeks before the end of the year."""
    place = day.timetuple().tm_yday / 365.25
    year = 1.0 + 0.12 * np.cos(2 * np.pi * place) + 0.45 * np.exp(-(((place - 0.93) / 0.03) ** 2))
    return float(WEEK[day.weekday()] * year / 1.024)


def _days(part: Part) -> list[date]:
    return [part.first + timedelta(days=day) for day in range((part.last - part.first).days)]


def _catalogue(shop: Shop) -> _Catalogue:
    """Two thirds are there from the start, the rest come over time; a third goes after a year or more."""
    rng = np.random.default_rng([shop.seed, 0])
    is_old = rng.random(shop.items) < 0.67
    is_old[0] = True
    born = np.where(is_old, 0, rng.integers(0, shop.days, shop.items))
    leaves = (rng.random(shop.items) < 0.33) & (np.arange(shop.items) > 0)
    dies = np.where(leaves, born + 180 + rng.integers(0, 900, shop.items), shop.days + 100_000)
    weight = np.divide(1.0, 10.0 + rng.permutation(shop.items), dtype=np.float64)
    return _Catalogue(born, dies, weight, rng.integers(99, 20_000, shop.items))


def _day(shop: Shop, catalogue: _Catalogue, day: date, events: int | None) -> dict[str, pl.DataFrame]:
    place = (day - shop.first).days
    rng = np.random.default_rng([shop.seed, 1, place])
    wanted = events if events is not None else shop.events / shop.days * season(day)
    count = max(1, round(wanted / EVENTS_PER_SESSION))
    start = np.datetime64(day, "us").astype(np.int64)
    begun = start + np.sort(np.minimum(rng.beta(4, 2.5, count), 0.95) * DAY).astype(np.int64)
    shopper = np.minimum((shop.shoppers * rng.random(count) ** 1.6).astype(np.int64), shop.shoppers - 1)
    sessions = (
        pl.DataFrame({"session": np.arange(count), "begun": begun, "shopper": shopper})
        .select(
            "session",
            "begun",
            pl.format("s{}-{}", pl.lit(place), "session").alias("session_id"),
            pl.format("p{}", "shopper").alias("person"),
            pl.Series("unknown", rng.random(count) < UNKNOWN_SHARE),
        )
        .with_columns(
            pl.when("unknown")
            .then(pl.format("v{}-{}", pl.lit(place), "session"))
            .otherwise("person")
            .alias("visitor_id"),
            pl.when("unknown").then(None).otherwise("person").alias("user_id"),
        )
    )
    views = _views(catalogue, place, begun, rng)
    carts = views.filter(rng.random(views.height) < CART_SHARE).with_columns(pl.col("at") + 5 * SECOND)
    orders = _orders(carts, rng)
    searched = np.flatnonzero(rng.random(count) < SEARCH_SHARE)
    terms = pl.Series("search_term", rng.integers(0, 2_000, len(searched)))
    searches = pl.DataFrame({"session": searched, "at": begun[searched] - 10 * SECOND}).with_columns(
        pl.format("term {}", terms).alias("search_term")
    )
    lines = (
        carts.join(orders.select("session"), on="session", how="semi")
        .group_by("session", "item", maintain_order=True)
        .agg(pl.len().alias("quantity"), pl.col("price").first())
    )
    bought = lines.group_by("session", maintain_order=True).agg(_item_json("quantity").str.join(",").alias("items"))
    orders = orders.join(bought, on="session", maintain_order="left").with_columns(
        pl.format("[{}]", "items").alias("items"), pl.format("o{}-{}", pl.lit(place), "session").alias("transaction_id")
    )
    rows = pl.concat(
        [
            views.select("session", "at", pl.lit("view_item").alias("event_name"), _one_item()),
            carts.select("session", "at", pl.lit("add_to_cart").alias("event_name"), _one_item()),
            searches.with_columns(pl.lit("search").alias("event_name")),
            orders.with_columns(pl.lit("purchase").alias("event_name")),
            _refunds(orders, rng),
        ],
        how="diagonal",
    ).join(sessions, on="session", maintain_order="left")
    return {
        "events": _delivered(rows, place, rng),
        "purchases": _purchases(lines, orders, sessions),
        "reviews": _reviews(lines, orders, sessions, rng),
    }


def _views(catalogue: _Catalogue, place: int, begun: Numbers, rng: np.random.Generator) -> pl.DataFrame:
    """Looked-at items [views]: popularity of the items that live on that day, some forty seconds apart."""
    alive = np.flatnonzero((catalogue.born <= place) & (catalogue.dies > place))
    cumulated = np.cumsum(catalogue.weight[alive])
    counts = np.minimum(rng.geometric(1.0 / VIEWS_PER_SESSION, len(begun)), 40)
    session = np.repeat(np.arange(len(begun)), counts)
    drawn = np.searchsorted(cumulated, rng.random(len(session)) * cumulated[-1], side="right")
    item = alive[np.minimum(drawn, len(alive) - 1)]
    gaps = np.cumsum(rng.exponential(40 * SECOND, len(session)).astype(np.int64))
    since = gaps - np.repeat(gaps[np.cumsum(counts) - counts], counts)
    return pl.DataFrame(
        {"session": session, "at": begun[session] + since, "item": item, "price": catalogue.price[item]}
    )


def _orders(carts: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    filled = carts.group_by("session", maintain_order=True).agg(pl.col("at").max() + 90 * SECOND)
    return filled.filter(rng.random(filled.height) < ORDER_SHARE)


def _refunds(orders: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    days = pl.Series(rng.integers(3, 21, orders.height) * DAY)
    back = orders.with_columns(pl.col("at") + days, pl.lit("refund").alias("event_name"))
    return back.filter(rng.random(orders.height) < REFUND_SHARE)


def _item_json(quantity: str) -> pl.Expr:
    texts = ['{"item_id":"i', "item", '","quantity":', quantity, ',"price_cents":', "price", "}"]
    return pl.concat_str(
        *(pl.col(text).cast(pl.String) if place % 2 else pl.lit(text) for place, text in enumerate(texts))
    )


def _one_item() -> pl.Expr:
    head, tail = pl.lit('[{"item_id":"i'), pl.lit('","quantity":1}]')
    return pl.concat_str(head, pl.col("item").cast(pl.String), tail).alias("items")


def _delivered(rows: pl.DataFrame, place: int, rng: np.random.Generator) -> pl.DataFrame:
    """The events with the moment of their delivery: some late, some twice."""
    lag = np.where(rng.random(rows.height) < LATE_SHARE, rng.integers(1, 30 * 24, rows.height) * 3_600 * SECOND, 0)
    events = rows.with_columns(
        pl.format("e{}-{}", pl.lit(place), pl.int_range(pl.len())).alias("event_id"),
        pl.from_epoch("at", "us").alias("event_time"),
        pl.from_epoch(pl.col("at") + pl.Series(lag), "us").alias("delivered_at"),
    ).select(
        *TEXTS,
        "event_time",
        pl.lit(None, pl.String).alias("item_list_id"),
        pl.lit(None, pl.String).alias("attribution_token"),
        pl.lit(False).alias("visible"),
        pl.lit(True).alias("derived"),
        pl.lit(None, pl.String).alias("claims"),
        "delivered_at",
    )
    return pl.concat([events, events.filter(rng.random(events.height) < TWICE_SHARE)])


def _purchases(lines: pl.DataFrame, orders: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    ordered = lines.join(orders.select("session", "at", "transaction_id"), on="session", maintain_order="left")
    return ordered.join(sessions, on="session", maintain_order="left").select(
        pl.col("transaction_id").alias("order_id"),
        pl.format("i{}", "item").alias("item_id"),
        pl.col("visitor_id").alias("shopper_id"),
        pl.from_epoch("at", "us").alias("purchased_at"),
        pl.col("quantity").cast(pl.Int64),
        pl.col("price").alias("price_cents"),
    )


def _reviews(
    lines: pl.DataFrame, orders: pl.DataFrame, sessions: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    bought = _purchases(lines, orders, sessions)
    kept = bought.filter(rng.random(bought.height) < REVIEW_SHARE)
    rating = pl.Series("rating", rng.choice(5, kept.height, p=(0.06, 0.06, 0.13, 0.3, 0.45)) + 1)
    return kept.select(
        pl.format("r{}-{}", "order_id", "item_id").alias("review_id"),
        "item_id",
        "shopper_id",
        rating,
        pl.format("{} of 5", rating).alias("text"),
        pl.col("purchased_at").alias("reviewed_at"),
    )


def _items(catalogue: _Catalogue, listed: int, until: int) -> pl.DataFrame:
    """Items first sold on the days [listed, until)."""
    index = np.flatnonzero((catalogue.born >= listed) & (catalogue.born < until))
    return pl.DataFrame({"item": index, "price": catalogue.price[index]}).select(
        pl.format("i{}", "item").alias("item_id"),
        pl.format("Item {}", "item").alias("title"),
        pl.format("Synthetic item {}", "item").alias("description"),
        pl.format("D{} > C{}", pl.col("item") % 12, pl.col("item") % 120).alias("category"),
        pl.format("Brand {}", pl.col("item") % 40).alias("brand"),
        pl.col("price").alias("price_cents"),
        (pl.col("price") * 6 // 10).alias("cost_cents"),
        pl.lit("in_stock").alias("availability"),
    )


def _shoppers(shop: Shop) -> pl.DataFrame:
    number = pl.DataFrame({"number": np.arange(shop.shoppers)})
    return number.select(pl.format("p{}", "number").alias("shopper_id"), pl.lit('{"age":"25-34"}').alias("attributes"))
