"""Consequences of the carts of a synthetic day: orders, refunds, corrections and reviews, each with its own delay.

The order system delivers lines; one in a hundred comes again days later with one piece more. Whoever leaves a cart
without an order has abandoned it. Every row has `delivered_at`, the moment from which a delivery may hold it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from warehouse.sources.synthetic_catalogue import item_json
from warehouse.sources.synthetic_shop import (
    CORRECTION_SHARE,
    DAY,
    ORDER_SHARE,
    REFUND_SHARE,
    REVIEW_SHARE,
    SECOND,
)


def draw_orders(carts: pl.DataFrame, place: int, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(orders, lines) of what was left in the carts.

    Orders: session, at, transaction_id, items. Lines: session, item, quantity, price of one.
    """
    filled = carts.group_by("session", maintain_order=True).agg(pl.col("at").max() + 90 * SECOND)
    orders = filled.filter(rng.random(filled.height) < ORDER_SHARE)
    lines = (
        carts.join(orders.select("session"), on="session", how="semi", maintain_order="left")
        .group_by("session", "item", maintain_order=True)
        .agg(pl.len().alias("quantity"), pl.col("price").first())
    )
    bought = lines.group_by("session", maintain_order=True).agg(
        item_json(quantity=pl.col("quantity")).str.join(",").alias("items")
    )
    named = orders.join(bought, on="session", maintain_order="left").with_columns(
        pl.format("[{}]", "items").alias("items"), pl.format("o{}-{}", pl.lit(place), "session").alias("transaction_id")
    )
    return named, lines


def refunds(orders: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Whole orders that come back 3 to 20 days later."""
    days = pl.Series(rng.integers(3, 21, orders.height) * DAY)
    back = orders.with_columns(pl.col("at") + days)
    return back.filter(rng.random(orders.height) < REFUND_SHARE)


def purchases(
    lines: pl.DataFrame, orders: pl.DataFrame, sessions: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """Order lines as the order system delivers them; price_cents is of the line.

    A correction adds a piece, because of two deliveries that are loaded at once the larger quantity counts.
    """
    ordered = lines.join(orders.select("session", "at", "transaction_id"), on="session", maintain_order="left")
    first = ordered.join(sessions, on="session", maintain_order="left").select(
        pl.col("transaction_id").alias("order_id"),
        pl.format("i{}", "item").alias("item_id"),
        pl.col("visitor_id").alias("shopper_id"),
        pl.from_epoch("at", "us").alias("purchased_at"),
        pl.col("quantity").cast(pl.Int64),
        "price",
        pl.from_epoch("at", "us").alias("delivered_at"),
    )
    corrected = first.filter(rng.random(first.height) < CORRECTION_SHARE)
    later = pl.Series(rng.integers(1, 6, corrected.height) * DAY).cast(pl.Duration("us"))
    again = corrected.with_columns(pl.col("quantity") + 1, pl.col("delivered_at") + later)
    return (
        pl.concat([first, again])
        .with_columns((pl.col("price") * pl.col("quantity")).alias("price_cents"))
        .drop("price")
    )


def reviews(bought: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Opinions on some of the lines `bought`, 2 to 20 days after the order."""
    lines = bought.unique(["order_id", "item_id"], keep="first", maintain_order=True)
    kept = lines.filter(rng.random(lines.height) < REVIEW_SHARE)
    rating = pl.Series("rating", rng.choice(5, kept.height, p=(0.06, 0.06, 0.13, 0.3, 0.45)) + 1)
    later = pl.Series(rng.integers(2 * DAY, 20 * DAY, kept.height)).cast(pl.Duration("us"))
    return kept.select(
        pl.format("r{}-{}", "order_id", "item_id").alias("review_id"),
        "item_id",
        "shopper_id",
        rating,
        pl.format("{} of 5", rating).alias("text"),
        (pl.col("purchased_at") + later).alias("reviewed_at"),
        (pl.col("purchased_at") + later).alias("delivered_at"),
    )
