"""The exports of a made-up shop of any size: what the training jobs count, drawn in the proportions of a large shop.

Popularity falls as 1 / rank^0.9, an order or a visit stays mostly in one category, and titles are of made-up words,
some of which every other item has. Letters: I items, C categories, N lines of orders or events of visits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.contracts.exports import EXPORTS
from recommender.domain.models.arrays import Counts, Doubles, Rows

from training_jobs.exports import POLARS_TYPES, Exports

UNTIL: Final = datetime(2026, 11, 16)
DAYS: Final = 365
ITEMS_A_CATEGORY, ITEMS_A_BRAND, CATEGORIES_A_DEPARTMENT = 60, 25, 60
LINES_AN_ITEM, LINES_A_SHOPPER, LINES_AN_ORDER = 10, 20, 4
VISITS_AN_ITEM, EVENTS_A_VISIT = 3, 4
STAYING: Final = 0.6  # share of an order or a visit that is of the category of its first item
SEARCHING: Final = 0.1  # share of the visits that begin with a search
IN_STOCK: Final = 0.93
SYLLABLES: Final = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu")
TITLE_WORDS: Final = 4
EVENT_NAMES: Final = ("view_item", "view_item", "view_item", "select_item", "add_to_cart")
DESCRIPTION: Final = "A thing of everyday use, made to last, in a size that fits most homes."
REGIONS: Final = ("north", "east", "south", "west")


@dataclass(frozen=True, slots=True)
class _Shelves:
    """Which category each item is of, and how much each item sells."""

    category: NDArray[np.int64]  # (I,)
    share: Doubles  # (I,) of all that is sold
    by_category: NDArray[np.int64]  # (I,) rows, those of a category together
    offsets: Counts  # (C + 1,) into by_category

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(count,) rows by popularity."""
        places = np.searchsorted(np.cumsum(self.share), rng.random(count))
        return np.minimum(places, len(self.share) - 1)

    def beside(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows that each follow one of `rows` (N,): of its category, or of any."""
        starts, sizes = self.offsets[self.category[rows]], np.diff(self.offsets)[self.category[rows]]
        near = self.by_category[starts + (rng.random(len(rows)) ** 2 * sizes).astype(np.int64)]
        return np.where(rng.random(len(rows)) < STAYING, near, self.draw(len(rows), rng))


def draw_exports(count_items: int, *, seed: int) -> Exports:
    """A year of the shop; the same seed gives the same rows."""
    rng = np.random.default_rng(seed)
    shelves = _shelves(count_items, rng)
    titles = _titles(count_items, rng)
    ids = np.array([f"sku-{row:08d}" for row in range(count_items)])
    shoppers = [f"shopper-{n:07d}" for n in range(max(count_items * LINES_AN_ITEM // LINES_A_SHOPPER, 1))]
    attributes = [f'{{"region": "{REGIONS[n % 4]}", "age": "{n // 4 % 5}"}}' for n in range(len(shoppers))]
    return Exports(
        purchases=_purchases(shelves, ids, np.array(shoppers), rng),
        items=_items(shelves, ids, titles, rng),
        shoppers=_frame("shoppers", {"shopper_id": shoppers, "attributes": attributes}),
        session_events=_visits(shelves, ids, titles, rng),
        data_from=UNTIL - timedelta(days=DAYS),
        data_until=UNTIL,
        data_hash=f"synthetic-{count_items}-{seed}",
        derived=True,
    )


def _shelves(count_items: int, rng: np.random.Generator) -> _Shelves:
    categories = max(count_items // ITEMS_A_CATEGORY, 2)
    weights = 1.0 / (np.arange(categories) + 5.0) ** 0.6
    category = rng.choice(categories, count_items, p=weights / weights.sum())
    share = 1.0 / (rng.permutation(count_items) + 10.0) ** 0.9
    order = np.lexsort((-share, category))
    offsets = np.searchsorted(category[order], np.arange(categories + 1))
    return _Shelves(category, share / share.sum(), order, offsets)


def _titles(count_items: int, rng: np.random.Generator) -> list[str]:
    words = np.array([a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES])
    weights = 1.0 / (np.arange(len(words)) + 5.0)
    drawn = words[rng.choice(len(words), (count_items, TITLE_WORDS), p=weights / weights.sum())]
    return [" ".join(row) for row in drawn.tolist()]


def _items(shelves: _Shelves, ids: NDArray[np.str_], titles: list[str], rng: np.random.Generator) -> pl.DataFrame:
    count = len(ids)
    category = shelves.category.tolist()
    return _frame(
        "items",
        {
            "item_id": ids,
            "title": titles,
            "description": [DESCRIPTION] * count,
            "category": [
                f"Dept {c // CATEGORIES_A_DEPARTMENT:02d} > Aisle {c // 8:03d} > Shelf {c:04d}" for c in category
            ],
            "brand": [f"Brand {b}" for b in rng.integers(max(count // ITEMS_A_BRAND, 2), size=count)],
            "price_cents": np.clip(np.exp(rng.normal(7.5, 1.0, count)), 50, 5_000_000).astype(np.int64),
            "margin_share": rng.uniform(0.05, 0.6, count).astype(np.float32),
            "margin_derived": np.ones(count, bool),
            "availability": np.where(rng.random(count) < IN_STOCK, "in_stock", "out_of_stock"),
        },
    )


def _purchases(
    shelves: _Shelves, ids: NDArray[np.str_], shoppers: NDArray[np.str_], rng: np.random.Generator
) -> pl.DataFrame:
    rows, order = _baskets(shelves, len(ids) * LINES_AN_ITEM // LINES_AN_ORDER, LINES_AN_ORDER, rng)
    count = int(order[-1]) + 1
    moments, buyer = _moments(count, rng), rng.integers(len(shoppers), size=count)
    lines = {
        "shopper_id": shoppers[buyer[order]],
        "item_id": ids[rows],
        "order_id": np.char.add("order-", order.astype(np.str_)),
        "purchased_at": moments[order],
        "quantity": np.ones(len(rows), np.int32),
        "price_cents": np.full(len(rows), 199),
    }
    return _frame("purchases", lines)


def _visits(shelves: _Shelves, ids: NDArray[np.str_], titles: list[str], rng: np.random.Generator) -> pl.DataFrame:
    rows, visit = _baskets(shelves, len(ids) * VISITS_AN_ITEM, EVENTS_A_VISIT, rng)
    count = int(visit[-1]) + 1
    first = np.searchsorted(visit, np.arange(count))
    searching = np.flatnonzero(rng.random(count) < SEARCHING)
    moments = _moments(count, rng)
    place = np.arange(len(rows)) - first[visit]
    names = np.array(EVENT_NAMES)[rng.integers(len(EVENT_NAMES), size=len(rows))]
    views = _events(visit, names, moments[visit] + (place + 1) * np.timedelta64(1, "m"), item_id=ids[rows])
    terms = [" ".join(titles[row].split()[:2]) for row in rows[first[searching]].tolist()]
    searches = _events(searching, np.full(len(searching), "search"), moments[searching], search_term=np.array(terms))
    return pl.concat([views, searches]).sort("event_time", maintain_order=True)


def _events(
    visit: NDArray[np.integer], names: NDArray[np.str_], moments: NDArray[np.datetime64], **more: NDArray[np.str_]
) -> pl.DataFrame:
    numbers = visit.astype(np.str_)
    columns = {
        "session_id": np.char.add("visit-", numbers),
        "shopper_id": np.char.add("visitor-", numbers),
        "event_id": np.char.add(f"{next(iter(more))}-", np.arange(len(visit)).astype(np.str_)),
        "event_name": names,
        "event_time": moments,
        "item_id": more.get("item_id"),
        "search_term": more.get("search_term"),
        "derived": np.zeros(len(visit), bool),
    }
    return _frame("session_events", columns)


def _baskets(
    shelves: _Shelves, count: int, mean: int, rng: np.random.Generator
) -> tuple[Rows | NDArray[np.int64], NDArray[np.int64]]:
    """(N,) rows and (N,) the order or visit that each is in, ascending."""
    sizes = np.minimum(rng.geometric(1.0 / mean, max(count, 1)), 30)
    of = np.repeat(np.arange(len(sizes)), sizes)
    first = shelves.draw(len(sizes), rng)
    rows = shelves.beside(first[of], rng)
    rows[np.concatenate([[0], np.cumsum(sizes)[:-1]])] = first
    return rows, of


def _moments(count: int, rng: np.random.Generator) -> NDArray[np.datetime64]:
    """(count,) ascending, the newest an hour before the end."""
    seconds = np.sort(rng.integers(DAYS * 86_400 - 3_600, size=count))
    return np.datetime64(UNTIL - timedelta(days=DAYS), "us") + seconds.astype("timedelta64[s]")


def _frame(name: str, columns: Mapping[str, Any]) -> pl.DataFrame:
    """Columns as the export of this name has them; None is a column of nulls."""
    count = len(next(values for values in columns.values() if values is not None))
    series = [
        pl.Series(column, [None] * count if columns[column] is None else columns[column]).cast(POLARS_TYPES[kind])
        for column, kind in EXPORTS[name]
    ]
    return pl.DataFrame(series)
