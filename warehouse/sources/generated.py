"""A seeded shop for tests and small runs: synthetic from end to end, and marked so.

Its structure is plausible and known: each shopper has a taste over categories and a favourite item in each,
buys again at an own pace, popularity within a category follows a power law, some items have a complement
that is bought with them, a tenth of the catalogue is launched in the last quarter of the time, and some lines are
reviewed in words that the titles do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from warehouse.sources.behaviour import Rule, derive
from warehouse.sources.generated_reviews import write_reviews
from warehouse.sources.history import History

SOURCE = "generated"
DAY = 86_400_000_000  # microseconds

# department -> category -> articles
SHELVES = {
    "PANTRY": {
        "COFFEE AND TEA": ("GROUND COFFEE", "COFFEE BEANS", "GREEN TEA", "HERBAL TEA"),
        "PASTA AND RICE": ("SPAGHETTI", "PENNE", "BASMATI RICE", "EGG NOODLES"),
        "SAUCES": ("TOMATO SAUCE", "PESTO", "SOY SAUCE", "MUSTARD"),
        "BREAKFAST": ("OATS", "GRANOLA", "STRAWBERRY JAM", "HONEY"),
    },
    "FRESH": {
        "FRUIT": ("APPLES", "BANANAS", "ORANGES", "GRAPES"),
        "VEGETABLES": ("TOMATOES", "CARROTS", "SPINACH", "POTATOES"),
        "DAIRY": ("WHOLE MILK", "YOGURT", "BUTTER", "CHEDDAR"),
    },
    "HOUSEHOLD": {
        "CLEANING": ("DISH SOAP", "GLASS CLEANER", "SPONGES", "LAUNDRY LIQUID"),
        "PAPER": ("KITCHEN ROLL", "TISSUES", "NAPKINS", "BAKING PAPER"),
    },
    "CARE": {
        "HAIR": ("SHAMPOO", "CONDITIONER", "HAIR GEL", "HAIR BRUSH"),
        "SKIN": ("HAND CREAM", "FACE WASH", "SUN LOTION", "LIP BALM"),
        "BABY": ("DIAPERS", "BABY WIPES", "BABY FOOD", "BABY LOTION"),
    },
}
BRANDS = ("National", "Private", "Alder", "Birch", "Cedar")
SIZES = ("SMALL", "200 G", "500 G", "1 KG", "FAMILY PACK")
ATTRIBUTES = {
    "age": ("19-24", "25-34", "35-44", "45-54", "55-64", "65+"),
    "income": ("Under 15K", "25-34K", "50-74K", "100-124K"),
    "household_size": ("1", "2", "3", "4", "5+"),
}


@dataclass(frozen=True, slots=True)
class Shop:
    """The size and habits of the shop; shares are chances of a line."""

    shoppers: int = 300
    items: int = 400
    days: int = 120
    favourite_share: float = 0.55
    complement_share: float = 0.25
    days_between_orders: float = 6.0
    lines_per_order: float = 4.0


def load(today: date, *, shop: Shop, seed: int) -> History:
    """The shop's past up to the midnight before `today`, with derived behaviour. The same seed gives the same shop."""
    rng = np.random.default_rng(seed)
    until = datetime.combine(today, datetime.min.time())
    items, shelf, launch = _catalogue(shop, rng)
    orders = _orders(shop, rng)
    lines = _lines(shop, orders, shelf, launch, rng)
    prices = items["price_cents"].to_numpy()
    start = until - timedelta(days=shop.days)
    purchases = (
        lines.with_columns(pl.Series("unit_cents", prices[lines["item"].to_numpy()]))
        .select(
            pl.format("o{}", pl.col("order").cast(pl.String).str.zfill(7)).alias("order_id"),
            pl.format("i{}", pl.col("item").cast(pl.String).str.zfill(5)).alias("item_id"),
            pl.format("s{}", pl.col("shopper").cast(pl.String).str.zfill(6)).alias("shopper_id"),
            (pl.lit(start) + pl.duration(microseconds="at"))
            .cast(pl.Datetime("us"))
            .dt.truncate("1s")
            .alias("purchased_at"),
            "quantity",
            (pl.col("unit_cents") * pl.col("quantity")).alias("price_cents"),
        )
        .sort("purchased_at", "order_id", "item_id")
    )
    events = derive(purchases, items, Rule(seed=seed))
    shoppers = _shoppers(shop, rng)
    reviews = write_reviews(purchases, items, until, np.random.default_rng([seed, 1]))
    return History(SOURCE, purchases, items, shoppers, events, until, derived=True, reviews=reviews)


def _catalogue(shop: Shop, rng: np.random.Generator) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.int64]]:
    """The items, the (I,) shelf of each, and the (I,) time of its launch in microseconds from the start."""
    shelves = [(department, category) for department, found in SHELVES.items() for category in found]
    count = shop.items
    shelf = np.sort(rng.integers(0, len(shelves), count))
    article = [str(rng.choice(SHELVES[shelves[place][0]][shelves[place][1]])) for place in shelf]
    brand, size = rng.choice(BRANDS, count), rng.choice(SIZES, count)
    price = np.round(np.exp(rng.normal(np.log(350), 0.6, count))).astype(np.int64) + 30
    cost = np.round(price * rng.uniform(0.45, 0.85, count)).astype(np.int64)
    launch = np.where(rng.random(count) < 0.1, rng.uniform(0.75, 0.95, count) * shop.days * DAY, 0).astype(np.int64)
    items = pl.DataFrame(
        {
            "item_id": [f"i{number:05d}" for number in range(count)],
            "title": [f"{a.title()}, {s.lower()}, {b}" for a, s, b in zip(article, size, brand, strict=True)],
            "description": [
                f"{a.title()}; {shelves[p][1].title()}; {shelves[p][0].title()}; {b}; {s.lower()}"
                for a, p, b, s in zip(article, shelf, brand, size, strict=True)
            ],
            "category": [f"{shelves[p][0]} > {shelves[p][1]} > {a}" for a, p in zip(article, shelf, strict=True)],
            "brand": brand,
            "price_cents": price,
            "cost_cents": pl.Series(cost).set(pl.Series(rng.random(count) < 0.2), None),
            "availability": np.where(rng.random(count) < 0.03, "out_of_stock", "in_stock"),
        }
    )
    return items, shelf, launch


def _orders(shop: Shop, rng: np.random.Generator) -> pl.DataFrame:
    """One row an order: its shopper and its time in microseconds from the start; more in the evening."""
    pace = shop.days_between_orders * np.exp(rng.normal(0, 0.5, shop.shoppers))
    joined = np.where(rng.random(shop.shoppers) < 0.2, rng.uniform(0, 0.9, shop.shoppers), 0.0) * shop.days
    counts = 1 + rng.poisson((shop.days - joined) / pace)
    shopper = np.repeat(np.arange(shop.shoppers), counts)
    day = np.floor(rng.uniform(joined[shopper], shop.days))
    hour = np.clip(rng.normal(15, 4, len(shopper)), 0, 23.9)
    at = ((day + hour / 24) * DAY).astype(np.int64)
    orders = pl.DataFrame({"shopper": shopper, "at": at}).sort("at", "shopper")
    return orders.with_row_index("order").with_columns(pl.col("order").cast(pl.Int64))


def _lines(
    shop: Shop,
    orders: pl.DataFrame,
    shelf: NDArray[np.int64],
    launch: NDArray[np.int64],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """One row an order line, each item once in an order and never before its launch."""
    count_shelves = int(shelf.max()) + 1
    taste = np.cumsum(rng.dirichlet(np.full(count_shelves, 0.4), shop.shoppers), axis=1)  # (S, shelves)
    favourite = _popular(shelf, np.tile(np.arange(count_shelves), shop.shoppers), rng).reshape(shop.shoppers, -1)
    repeats = 1 + rng.poisson(shop.lines_per_order - 1, orders.height)
    of_order = np.repeat(np.arange(orders.height), repeats)
    shopper = orders["shopper"].to_numpy()[of_order]
    wanted = np.minimum((taste[shopper] < rng.random((len(of_order), 1))).sum(axis=1), count_shelves - 1)
    own = rng.random(len(of_order)) < shop.favourite_share
    item = np.where(own, favourite[shopper, wanted], _popular(shelf, wanted, rng))
    complement = rng.permutation(len(shelf))
    together = rng.random(len(item)) < shop.complement_share
    of_order, item = np.append(of_order, of_order[together]), np.append(item, complement[item[together]])
    lines = pl.DataFrame(
        {"order": of_order, "item": item, "quantity": 1 + rng.poisson(0.3, len(item)), "launch": launch[item]}
    ).unique(["order", "item"], keep="first", maintain_order=True)
    return lines.join(orders, on="order", maintain_order="left").filter(pl.col("at") >= pl.col("launch"))


def _popular(shelf: NDArray[np.int64], wanted: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(N,) an item of each wanted shelf; place r of a shelf is drawn about r**-0.8 as often as the first."""
    start = np.searchsorted(shelf, wanted)
    size = np.searchsorted(shelf, wanted, side="right") - start
    place = np.floor(size * rng.random(len(wanted)) ** 5).astype(np.int64)  # density ~ r**(1/5 - 1)
    chosen: NDArray[np.int64] = np.minimum(start + np.minimum(place, np.maximum(size - 1, 0)), len(shelf) - 1)
    return chosen


def _shoppers(shop: Shop, rng: np.random.Generator) -> pl.DataFrame:
    """All shoppers; the attributes of two in five are known."""
    known = rng.random(shop.shoppers) < 0.4
    columns = {name: rng.choice(values, shop.shoppers) for name, values in ATTRIBUTES.items()}
    encoded = pl.DataFrame(columns).select(pl.struct(pl.all()).struct.json_encode())[:, 0]
    return pl.DataFrame(
        {
            "shopper_id": [f"s{number:06d}" for number in range(shop.shoppers)],
            "attributes": encoded.set(pl.Series(~known), "{}"),
        }
    )
