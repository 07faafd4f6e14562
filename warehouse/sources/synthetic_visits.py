"""One day of a synthetic history: its sessions, what was searched, shown, looked at, put in carts and ordered.

A day is drawn from (seed, day) alone. Of its sessions 28 % are of unknown visitors; one event in a hundred arrives up
to 30 days late, one in two hundred arrives twice. Every event is marked derived.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from warehouse.sources.synthetic_catalogue import Catalogue, item_json
from warehouse.sources.synthetic_ids import MOST_OF_DAY, ids
from warehouse.sources.synthetic_lists import draw_lists
from warehouse.sources.synthetic_orders import draw_orders, purchases, refunds, reviews
from warehouse.sources.synthetic_shop import (
    CART_SHARE,
    DAY,
    LATE_SHARE,
    REMOVAL_SHARE,
    SEARCH_SHARE,
    SECOND,
    TWICE_SHARE,
    UNKNOWN_SHARE,
    VIEWS_PER_SESSION,
    Numbers,
    Shop,
    season,
)


def draw_day(shop: Shop, catalogue: Catalogue, day: date, events: int | None) -> dict[str, pl.DataFrame]:
    """Events, purchases and reviews that follow from `day`, with `delivered_at`; `events` overrides its season."""
    place = (day - shop.first).days
    rng = np.random.default_rng([shop.seed, 1, place])
    wanted = events if events is not None else shop.events / shop.days * season(day)
    sessions = _sessions(shop, day, place, max(1, round(wanted / shop.events_per_session)), rng)
    views = _views(catalogue, place, sessions["begun"].to_numpy(), rng)
    carts = views.filter(rng.random(views.height) < CART_SHARE).with_columns(pl.col("at") + 5 * SECOND)
    is_removed = pl.Series(rng.random(carts.height) < REMOVAL_SHARE)
    removals = carts.filter(is_removed).with_columns(pl.col("at") + 3 * SECOND)
    orders, lines = draw_orders(carts.filter(~is_removed), place, rng)
    looked, carted, removed = (frame.with_columns(_one_item()) for frame in (views, carts, removals))
    rows = [
        _named("view_item", looked),
        _named("add_to_cart", carted),
        _named("remove_from_cart", removed),
        _named("search", _searches(sessions, rng)),
        _named("purchase", orders),
        _named("refund", refunds(orders, rng)),
        draw_lists(shop, catalogue, place, views, sessions, rng),
    ]
    happened = pl.concat(rows, how="diagonal").join(sessions, on="session", maintain_order="left")
    bought = purchases(lines, orders, sessions, rng)
    return {"events": _delivered(happened, place, rng), "purchases": bought, "reviews": reviews(bought, rng)}


def _sessions(shop: Shop, day: date, place: int, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """A row a session, by time: session, begun, session_id, visitor (a number), visitor_id, user_id, unknown."""
    start = np.datetime64(day, "us").astype(np.int64)
    begun = start + np.sort(np.minimum(rng.beta(4, 2.5, count), 0.95) * DAY).astype(np.int64)
    shopper = np.minimum((shop.shoppers * rng.random(count) ** 1.6).astype(np.int64), shop.shoppers - 1)
    unknown = rng.random(count) < UNKNOWN_SHARE
    session = np.arange(count)
    visitor = np.where(unknown, (place + 1) * MOST_OF_DAY + session, shopper)
    person = pl.format("p{}", "visitor")
    return pl.DataFrame({"session": session, "begun": begun, "visitor": visitor, "unknown": unknown}).with_columns(
        ids("s", place, count).alias("session_id"),
        pl.when("unknown").then(ids("v", place, count)).otherwise(person).alias("visitor_id"),
        pl.when("unknown").then(None).otherwise(person).alias("user_id"),
    )


def _views(catalogue: Catalogue, place: int, begun: Numbers, rng: np.random.Generator) -> pl.DataFrame:
    """Looked-at items, session, at, item, price: by popularity of what is on sale, some forty seconds apart."""
    alive = catalogue.on_sale(place)
    cumulated = np.cumsum(catalogue.weight[alive])
    counts = np.minimum(rng.geometric(1.0 / VIEWS_PER_SESSION, len(begun)), 40)
    session = np.repeat(np.arange(len(begun)), counts)
    drawn = np.searchsorted(cumulated, rng.random(len(session)) * cumulated[-1], side="right")
    item = alive[np.minimum(drawn, len(alive) - 1)]
    # Never closer than ten seconds: a cart, a list and a click have their places in between.
    gaps = np.cumsum(10 * SECOND + rng.exponential(30 * SECOND, len(session)).astype(np.int64))
    since = gaps - np.repeat(gaps[np.cumsum(counts) - counts], counts)
    price = catalogue.prices(place)[item]
    return pl.DataFrame({"session": session, "at": begun[session] + since, "item": item, "price": price})


def _searches(sessions: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    searched = sessions.filter(rng.random(sessions.height) < SEARCH_SHARE)
    terms = pl.Series(rng.integers(0, 2_000, searched.height))
    return searched.select(
        "session", pl.col("begun").alias("at") - 10 * SECOND, pl.format("term {}", terms).alias("search_term")
    )


def _one_item() -> pl.Expr:
    return pl.concat_str(pl.lit("["), item_json(), pl.lit("]")).alias("items")


def _named(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.lit(name).alias("event_name"))


def _delivered(rows: pl.DataFrame, place: int, rng: np.random.Generator) -> pl.DataFrame:
    """The columns of raw.events with the moment of their delivery: some late, some twice."""
    lag = np.where(rng.random(rows.height) < LATE_SHARE, rng.integers(1, 30 * 24, rows.height) * 3_600 * SECOND, 0)
    events = rows.select(
        ids("e", place, rows.height).alias("event_id"),
        "event_name",
        pl.from_epoch("at", "us").alias("event_time"),
        "visitor_id",
        "session_id",
        "user_id",
        "items",
        "item_list_id",
        "search_term",
        "transaction_id",
        pl.lit(None, pl.String).alias("attribution_token"),
        pl.col("visible").fill_null(False),
        pl.lit(True).alias("derived"),
        "claims",
        pl.from_epoch(pl.col("at") + pl.Series(lag), "us").alias("delivered_at"),
    )
    return pl.concat([events, events.filter(rng.random(events.height) < TWICE_SHARE)])
