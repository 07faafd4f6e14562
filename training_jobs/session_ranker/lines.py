"""Purchase lines as arrays: item rows, shopper and order numbers, days. What every count starts from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.domain.arrays import Doubles, Rows

from training_jobs.exports import Exports

MICROSECONDS_PER_DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1)  # the exports' times are naive UTC


@dataclass(frozen=True, slots=True)
class Lines:
    """N lines in order of time; an item stands once in an order. Lines of unknown items are left out."""

    item: Rows  # (N,)
    shopper: Rows  # (N,) index into shopper_ids
    order: Rows  # (N,) number of the order, 0..count_orders-1
    days: Doubles  # (N,) when it was bought, days since the epoch (UTC)
    shopper_ids: tuple[str, ...]  # sorted
    count_orders: int

    def __len__(self) -> int:
        return len(self.item)


def read_lines(exports: Exports, *, until: datetime) -> Lines:
    """The purchase lines before `until`."""
    frame = (
        with_rows(exports.purchases.filter(pl.col("purchased_at") < until), exports)
        .unique(["shopper_id", "order_id", "row"], keep="first", maintain_order=True)
        .select(
            "row",
            "shopper_id",
            pl.struct("shopper_id", "order_id").rank("dense").alias("order") - 1,
            days_of("purchased_at"),
        )
    )
    shoppers = frame["shopper_id"].unique().sort()
    numbers = pl.DataFrame({"shopper_id": shoppers, "shopper": np.arange(len(shoppers), dtype=np.int32)})
    numbered = frame.join(numbers, on="shopper_id", how="left", maintain_order="left")
    order = numbered["order"].to_numpy().astype(np.int32)
    return Lines(
        item=numbered["row"].to_numpy().astype(np.int32),
        shopper=numbered["shopper"].to_numpy().astype(np.int32),
        order=order,
        days=numbered["days"].to_numpy(),
        shopper_ids=tuple(shoppers),
        count_orders=int(order.max()) + 1 if len(order) else 0,
    )


def with_rows(frame: pl.DataFrame, exports: Exports) -> pl.DataFrame:
    """The frame in its order with the item's `row` (int32) in the bundle; what the catalogue lacks is dropped."""
    ids = exports.items["item_id"].unique().sort()  # by bytes, as Exports.item_ids
    rows = pl.DataFrame({"item_id": ids, "row": np.arange(len(ids), dtype=np.int32)})
    return frame.join(rows, on="item_id", how="inner", maintain_order="left")


def days_of(column: str) -> pl.Expr:
    """A time column as float days since the epoch, named `days`."""
    return (pl.col(column).cast(pl.Datetime("us")).dt.epoch("us") / MICROSECONDS_PER_DAY).alias("days")


def days_since_epoch(moment: datetime) -> float:
    """Naive UTC time as days since the epoch."""
    return (moment - EPOCH).total_seconds() / 86_400


def count_by(rows: NDArray[np.integer], weights: NDArray[np.floating] | None, count: int) -> Doubles:
    """(count,) the sum of the weights of each row."""
    counted: Doubles = np.bincount(rows, weights=weights, minlength=count).astype(np.float64)
    return counted


def distinct(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct keys, sorted. (np.unique hashes, which takes three times as long here.)"""
    ordered = np.sort(keys)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered
