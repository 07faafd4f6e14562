"""The derived visits: browse, search and cart events around real orders, by a seeded rule. Every row is marked derived.

No public data set has them together with orders, so they follow from the orders by this rule:

1. *Visit before an order.* It starts 10 to 40 minutes before the order. Up to `lines_per_order` lines of the
   order, drawn at random, are put in the cart, one after the other. Before each, with the stated chances:
   a search with words of the item's category, a look at another item of that category, a look at the item.
2. *Visit without an order.* After some orders the shopper comes back 26 to 70 hours later, looks at one to
   three items of the category of one line of that order, and with some chance puts the last one in the cart
   and leaves. Whether that cart counts as abandoned is decided by the warehouse, not here.
3. "Another item" is the item of a random earlier order line of the same category, among the newest `recent`
   lines before the visit: so popular items are looked at more, and nothing is known before it was sold.

The order itself is real and is not repeated as an event. All draws come from one generator in a fixed order.

Decisions: docs/decisions/warehouse.md (012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.contracts.events import EVENT_COLUMNS

MICROSECONDS = 1_000_000
WORDS_PER_SEARCH = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """The chances of the rule (shares) and its limits."""

    seed: int
    lines_per_order: int = 6
    searched_share: float = 0.10
    compared_share: float = 0.30
    viewed_share: float = 0.85
    returning_share: float = 0.25
    returning_cart_share: float = 0.55
    recent: int = 2_000


def derive(purchases: pl.DataFrame, items: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """The events around `purchases` (sorted by time), with the columns of raw.events, in order of time."""
    rng = np.random.default_rng(rule.seed)
    lines = _coded(purchases, items)
    pick = _Earlier(lines, rule.recent)
    steps = pl.concat([_before_orders(lines, pick, rule, rng), _without_orders(lines, pick, rule, rng)])
    return _to_events(steps, items)


class _Earlier:
    """Draws the item of an earlier line of the same category; lines of a category stand together, in order of time."""

    def __init__(self, lines: pl.DataFrame, recent: int) -> None:
        ordered = lines.sort("category_code", "at")
        self._codes = ordered["category_code"].to_numpy()
        # One sortable key for (category, time): the times fit below 2**52 microseconds until the year 2112.
        self._keys = _key(self._codes, ordered["at"].to_numpy())
        self._items = ordered["item_code"].to_numpy()
        self._recent = recent

    def items(self, codes: NDArray[np.int64], at: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) item codes, -1 where nothing of the category was sold before `at`."""
        end = np.searchsorted(self._keys, _key(codes, at))
        first = np.searchsorted(self._codes, codes)
        start = np.maximum(first, end - self._recent)
        chosen = start + (draws * (end - start)).astype(np.int64)
        found = end > start
        return np.where(found, self._items[np.where(found, chosen, 0)], -1)


def _key(codes: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    return codes * np.int64(2**52) + at


def _coded(purchases: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """The lines with their item and category as integers and the time as microseconds; one row a line."""
    catalogue = items.select(
        "item_id",
        pl.int_range(pl.len()).alias("item_code"),
        (pl.col("category").rank("dense").cast(pl.Int64) - 1).alias("category_code"),
    )
    return purchases.join(catalogue, on="item_id", maintain_order="left").select(
        "order_id", "shopper_id", "item_code", "category_code", pl.col("purchased_at").dt.epoch("us").alias("at")
    )


def _before_orders(lines: pl.DataFrame, pick: _Earlier, rule: Rule, rng: np.random.Generator) -> pl.DataFrame:
    """Rule 1: one row a step, with its rank and how many steps the visit has still to be counted."""
    drawn = (
        lines.with_columns(pl.Series("draw", rng.random(lines.height)))
        .with_columns(pl.col("draw").rank("ordinal").over("order_id").cast(pl.Int64).alias("turn"))
        .filter(pl.col("turn") <= rule.lines_per_order)
    )
    count = drawn.height
    other = pick.items(drawn["category_code"].to_numpy(), drawn["at"].to_numpy(), rng.random(count))
    is_other = (other >= 0) & (other != drawn["item_code"].to_numpy()) & (rng.random(count) < rule.compared_share)
    own = drawn["item_code"].to_numpy()
    orders = lines.select("order_id").unique(maintain_order=True)
    starts = orders.with_columns(pl.Series("minutes", rng.uniform(10, 40, orders.height)))
    length = (pl.col("minutes") * 60 * MICROSECONDS).cast(pl.Int64)
    drawn = (
        drawn.join(starts, on="order_id", maintain_order="left")
        .with_columns(pl.concat_str(pl.lit("d-"), "order_id").alias("session_id"), length.alias("length"))
        .with_columns((pl.col("at") - pl.col("length")).alias("start"))
    )
    return pl.concat(
        [
            _steps(drawn, 0, "search", own, rng.random(count) < rule.searched_share),
            _steps(drawn, 1, "view_item", other, is_other),
            _steps(drawn, 2, "view_item", own, rng.random(count) < rule.viewed_share),
            _steps(drawn, 3, "add_to_cart", own, np.ones(count, np.bool_)),
        ]
    )


def _without_orders(lines: pl.DataFrame, pick: _Earlier, rule: Rule, rng: np.random.Generator) -> pl.DataFrame:
    """Rule 2: as `_before_orders`."""
    anchors = (
        lines.with_columns(pl.Series("draw", rng.random(lines.height)))
        .filter(pl.col("draw") == pl.col("draw").min().over("order_id"))
        .with_columns(pl.concat_str(pl.lit("r-"), "order_id").alias("session_id"))
    )
    back = anchors.filter(pl.Series(rng.random(anchors.height) < rule.returning_share))
    count = back.height
    later = (rng.uniform(26, 70, count) * 3600 * MICROSECONDS).astype(np.int64)
    minutes = (rng.uniform(2, 12, count) * 60 * MICROSECONDS).astype(np.int64)
    back = back.with_columns(
        pl.lit(1, pl.Int64).alias("turn"), (pl.col("at") + later).alias("start"), pl.Series("length", minutes)
    ).filter(pl.col("start") + pl.col("length") < lines["at"].max())
    count = back.height
    codes, start = back["category_code"].to_numpy(), back["start"].to_numpy()
    seen = [pick.items(codes, start, rng.random(count)) for _ in range(3)]
    looks = rng.integers(1, 4, count)
    carted = rng.random(count) < rule.returning_cart_share
    views = [_steps(back, turn, "view_item", seen[turn], looks > 2 - turn) for turn in range(3)]
    return pl.concat([*views, _steps(back, 3, "add_to_cart", seen[2], carted)])


def _steps(
    visits: pl.DataFrame, place: int, name: str, items: NDArray[np.int64], happens: NDArray[np.bool_]
) -> pl.DataFrame:
    """The rows of `visits` where the step happens; `place` orders the steps of one turn."""
    return visits.select(
        "session_id",
        "shopper_id",
        "start",
        "length",
        (pl.col("turn") * 4 + place).alias("rank"),
        pl.lit(name).alias("event_name"),
        pl.Series("item_code", items),
    ).filter(pl.Series(happens & (items >= 0)))


def _to_events(steps: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """The columns of raw.events; the steps of a visit are spread evenly over its length."""
    ordered = steps.sort("session_id", "rank").with_columns(
        pl.int_range(pl.len()).over("session_id").alias("number"), pl.len().over("session_id").alias("count")
    )
    texts = items.select(
        pl.int_range(pl.len()).alias("item_code"), "item_id", "price_cents", _search_words().alias("words")
    )
    is_search = pl.col("event_name") == "search"
    time = pl.col("start") + pl.col("length") * (pl.col("number") + 1) // (pl.col("count") + 1)
    columns = {
        "event_id": pl.concat_str("session_id", pl.lit("-"), "number"),
        "event_name": pl.col("event_name"),
        "event_time": time.cast(pl.Datetime("us")).dt.truncate("1s"),
        "visitor_id": pl.concat_str(pl.lit("v-"), "shopper_id"),
        "session_id": pl.col("session_id"),
        "user_id": pl.col("shopper_id"),
        "items": pl.when(is_search).then(pl.lit("[]")).otherwise(_items_json()),
        "search_term": pl.when(is_search).then(pl.col("words")),
        "derived": pl.lit(True),
        "claims": pl.lit(None, pl.String),
    }
    absent = {column.name: pl.lit(None, pl.String) for column in EVENT_COLUMNS if column.name not in columns}
    joined = ordered.join(texts, on="item_code", maintain_order="left")
    events = joined.select(**columns, **{**absent, "visible": pl.lit(False)})
    return events.sort("event_time", "event_id")


def _items_json() -> pl.Expr:
    rest = pl.lit(',"index":null}]')  # glued, because pl.format takes braces for braces only in newer versions
    return pl.concat_str(
        pl.lit('[{"item_id":"'), pl.col("item_id"), pl.lit('","quantity":1,"price_cents":'), "price_cents", rest
    )


def _search_words() -> pl.Expr:
    """The first words of the last part of the category path, lower case, letters only."""
    last = pl.col("category").str.split(" > ").list.last().str.to_lowercase()
    return last.str.extract_all(r"[a-z]{3,}").list.head(WORDS_PER_SEARCH).list.join(" ")
