"""The items of a synthetic history: born and dying, with prices and stock that change, each day by a formula.

An item's price steps within 15 % of its base every 30 to 240 days; it is out of stock for 1 to 5 days every 60 to
400 days, and discontinued when it dies. A day's catalogue needs no day before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from warehouse.sources.synthetic_shop import Numbers, Shop

NEVER = 100_000  # days


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Arrays over items; days are counted from the first day of the history."""

    born: Numbers  # day of the first sale
    dies: Numbers  # first day without sales
    weight: NDArray[np.float64] = field(repr=False)  # popularity
    base: Numbers = field(repr=False)  # cents
    price_days: Numbers = field(repr=False)  # a price holds so long
    stock_days: Numbers = field(repr=False)  # from one shortage to the next
    short_days: Numbers = field(repr=False)  # a shortage holds so long

    def prices(self, place: int) -> Numbers:
        """[items] cents on the day; a dead item keeps its last price."""
        item = np.arange(len(self.base))
        step = (item * 13 + (np.minimum(place, self.dies - 1) + item) // self.price_days * 3) % 7
        return np.asarray(self.base * (85 + 5 * step) // 100)

    def is_stocked(self, place: int) -> NDArray[np.bool_]:
        """[items] true where there is something to sell on the day."""
        item = np.arange(len(self.base))
        return np.asarray((place + item * 17) % self.stock_days >= self.short_days)

    def on_sale(self, place: int) -> Numbers:
        """List the items that are sold on the day; never empty."""
        return np.flatnonzero((self.born <= place) & (self.dies > place) & self.is_stocked(place))


def draw_catalogue(shop: Shop) -> Catalogue:
    """Two thirds are there from the start, the rest come over time; a third goes after half a year or more.

    The first item is always on sale, so that no day is without one.
    """
    rng = np.random.default_rng([shop.seed, 0])
    is_old = rng.random(shop.items) < 0.67
    is_old[0] = True
    born = np.where(is_old, 0, rng.integers(0, shop.days, shop.items))
    leaves = (rng.random(shop.items) < 0.33) & (np.arange(shop.items) > 0)
    dies = np.where(leaves, born + 180 + rng.integers(0, 900, shop.items), shop.days + NEVER)
    weight = np.divide(1.0, 10.0 + rng.permutation(shop.items), dtype=np.float64)
    short_days = rng.integers(1, 6, shop.items)
    short_days[0] = 0
    return Catalogue(
        born,
        dies,
        weight,
        base=rng.integers(99, 20_000, shop.items),
        price_days=rng.integers(30, 241, shop.items),
        stock_days=rng.integers(60, 401, shop.items),
        short_days=short_days,
    )


def delivered_items(catalogue: Catalogue, listed: int, until: int) -> pl.DataFrame:
    """The catalogue's delivery on the eve of day `until`: what is new or was changed since that on the eve of `listed`.

    One row an item, as it is then: rows that are loaded at once cannot follow each other.
    """
    now = _attributes(catalogue, until - 1)
    is_new = (catalogue.born >= listed) & (catalogue.born < until)
    before = _attributes(catalogue, listed - 1)
    is_changed = (catalogue.born < listed) & np.any([one != other for one, other in zip(now, before, strict=True)], 0)
    index = np.flatnonzero(is_new | is_changed)
    price, availability = now
    return pl.DataFrame(
        {
            "item": index,
            "base": catalogue.base[index],
            "price_cents": price[index],
            "availability": availability[index],
        }
    ).select(
        pl.format("i{}", "item").alias("item_id"),
        pl.format("Item {}", "item").alias("title"),
        pl.format("Synthetic item {}", "item").alias("description"),
        pl.format("D{} > C{}", pl.col("item") % 12, pl.col("item") % 120).alias("category"),
        pl.format("Brand {}", pl.col("item") % 40).alias("brand"),
        "price_cents",
        (pl.col("base") * 6 // 10).alias("cost_cents"),
        "availability",
    )


def item_json(*, quantity: pl.Expr | None = None, index: pl.Expr | None = None) -> pl.Expr:
    """An entry of an event's `items`, from the columns `item` and `price`."""
    pieces = [
        pl.lit('{"item_id":"i'),
        pl.col("item").cast(pl.String),
        pl.lit('","quantity":'),
        pl.lit("1") if quantity is None else quantity.cast(pl.String),
        pl.lit(',"price_cents":'),
        pl.col("price").cast(pl.String),
        pl.lit(',"index":'),
        pl.lit("null") if index is None else index.cast(pl.String),
        pl.lit("}"),
    ]
    return pl.concat_str(pieces).alias("items")


def _attributes(catalogue: Catalogue, place: int) -> tuple[Numbers, NDArray[np.str_]]:
    """([items] cents, [items] availability) on the day."""
    stock = np.where(catalogue.is_stocked(place), "in_stock", "out_of_stock")
    return catalogue.prices(place), np.where(catalogue.dies <= place, "discontinued", stock)
