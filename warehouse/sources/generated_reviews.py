"""Reviews of the generated shop: words about an item that its title lacks.

Each item has two traits, drawn from those of its category; its reviews name them. So items of one category differ in
what is written of them, and whoever searches for a trait can find the items that have it.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

SHARE = 0.08  # of order lines
MICROSECONDS_A_DAY = 86_400_000_000
TRAITS = {
    "COFFEE AND TEA": ("smooth", "bitter", "floral aroma", "strong in the morning", "decaffeinated"),
    "PASTA AND RICE": ("al dente", "sticky", "gluten free", "cooks in five minutes", "whole grain"),
    "SAUCES": ("spicy", "mild", "good with noodles", "low in salt", "smoky"),
    "BREAKFAST": ("crunchy", "unsweetened", "loved by children", "full of nuts", "organic"),
    "FRUIT": ("juicy", "ripe on arrival", "seedless", "sour", "keeps for a week"),
    "VEGETABLES": ("crisp", "good for salad", "already washed", "earthy", "from the region"),
    "DAIRY": ("creamy", "lactose free", "good for baking", "low fat", "tangy"),
    "CLEANING": ("no scent", "lemon scent", "kind to hands", "cuts grease", "refillable"),
    "PAPER": ("soft", "tears easily", "recycled", "thick", "good value"),
    "HAIR": ("for curly hair", "for dry scalp", "no silicone", "light hold", "travels well"),
    "SKIN": ("for sensitive skin", "no perfume", "absorbs quickly", "waterproof", "vegan"),
    "BABY": ("no leaks", "gentle", "for newborns", "biodegradable", "snug fit"),
}
OPINIONS = ("Disappointing.", "Not for me.", "Fine.", "Good.", "Would buy again.")  # by rating
SHARES = (0.05, 0.07, 0.15, 0.33, 0.40)


def write_reviews(
    purchases: pl.DataFrame, items: pl.DataFrame, until: datetime, rng: np.random.Generator
) -> pl.DataFrame:
    """Reviews of some of the lines, one to nine days after the order and before `until`."""
    lines = purchases.filter(pl.Series(rng.random(purchases.height) < SHARE)).select(
        "order_id", "item_id", "shopper_id", "purchased_at"
    )
    rating = rng.choice(len(SHARES), lines.height, p=SHARES)
    later = rng.integers(MICROSECONDS_A_DAY, 9 * MICROSECONDS_A_DAY, lines.height)
    which = rng.random(lines.height) < 0.5
    traits = _traits(items, rng)
    written = lines.with_columns(
        pl.Series("rating", rating + 1),
        pl.Series("opinion", np.array(OPINIONS)[rating], pl.String),
        (pl.col("purchased_at") + pl.Series(later).cast(pl.Duration("us"))).dt.truncate("1s").alias("reviewed_at"),
        pl.Series("is_first", which),
    ).join(traits, on="item_id", maintain_order="left")
    words = (
        pl.when("is_first")
        .then(pl.format("{} and {}", "first", "second"))
        .otherwise(pl.format("{} and {}", "second", "first"))
    )
    return written.filter(pl.col("reviewed_at") < until).select(
        pl.format("r-{}-{}", "order_id", "item_id").alias("review_id"),
        "item_id",
        "shopper_id",
        "rating",
        pl.format("{} {}", "opinion", words).alias("text"),
        "reviewed_at",
    )


def _traits(items: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """item_id, first, second: two different traits of the item's category."""
    category = items["category"].str.split(" > ").list.get(1)
    drawn = [rng.choice(TRAITS[name], 2, replace=False) for name in category]
    return pl.DataFrame(
        {
            "item_id": items["item_id"],
            "first": [str(pair[0]) for pair in drawn],
            "second": [str(pair[1]) for pair in drawn],
        }
    )
