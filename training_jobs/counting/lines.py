"""Purchase lines as arrays, and the histories of the shoppers as arrays and as the lines of shoppers.jsonl.

Every count starts from these lines. Letters: N lines, I items, M shoppers, T targets.

Decisions: docs/decisions/shopper-model.md (025).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.domain.models.arrays import Counts, Doubles, Ids, Rows
from recommender.domain.serving.visit import RECENT_HALF_LIFE_DAYS, UNKNOWN_COHORT, PurchaseHistory, Shopper

from training_jobs.exports import Exports

MICROSECONDS_PER_DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1)  # the exports' times are naive UTC
CUTS = 2
LABEL_DAYS = 28.0
NO_LINES: NDArray[np.int64] = np.empty(0, np.int64)
EMPTY = PurchaseHistory()
DECIMALS = 5  # of days (a second) and of faded counts: shorter lines, the same numbers in training and serving


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
    """The frame in its order with the item's `row` (int32) in the bundle; unknown items are dropped."""
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
    """(count,) the sum of the weights (N,) of each row; `rows` (N,) are below `count`."""
    counted: Doubles = np.bincount(rows, weights=weights, minlength=count).astype(np.float64)
    return counted


def distinct(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct keys (N,), sorted. (np.unique hashes, which takes three times as long here.)"""
    ordered = np.sort(keys)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def label_cuts(data_from: datetime, evaluate_from: datetime) -> tuple[datetime, ...]:
    """The moments at which the ranker's requests are made, ascending; the last labels end at `evaluate_from`.

    Where the data are short the windows shrink, so that as much time as a window lies before the first one.
    """
    span = (evaluate_from - data_from).total_seconds() / 86_400
    days = timedelta(days=min(LABEL_DAYS, span / (CUTS + 1)))
    return tuple(evaluate_from - days * n for n in range(CUTS, 0, -1))


@dataclass(frozen=True, slots=True)
class Bought:
    """The purchases of a window of time, by shopper."""

    lines: Lines
    by_shopper: dict[str, NDArray[np.int64]]  # shopper id -> its line numbers in order of time

    def targets(self, shopper_id: str) -> Rows:
        """(T,) the distinct items that the shopper bought in the window."""
        return np.unique(self.lines.item[self.by_shopper.get(shopper_id, NO_LINES)])

    def orders(self, shopper_id: str) -> Iterator[tuple[float, Rows]]:
        """(day, distinct items) of the shopper's orders in the window, in order of time."""
        numbers = self.by_shopper.get(shopper_id, NO_LINES)
        order = self.lines.order[numbers]
        _, first = np.unique(order, return_index=True)
        for start in np.sort(first):
            inside = numbers[order == order[start]]
            yield float(self.lines.days[inside[0]]), np.unique(self.lines.item[inside])


def window_purchases(lines: Lines, *, after_days: float, until_days: float) -> Bought:
    """The part of `lines` from one day until another."""
    inside = np.flatnonzero((lines.days >= after_days) & (lines.days < until_days))
    order = inside[np.argsort(lines.shopper[inside], kind="stable")]
    shoppers, first = np.unique(lines.shopper[order], return_index=True)
    parts = np.split(order, first[1:]) if len(shoppers) else []
    return Bought(lines, {lines.shopper_ids[s]: part for s, part in zip(shoppers, parts, strict=True)})


def bought_between(exports: Exports, start: datetime, end: datetime) -> Bought:
    """The purchases of a window."""
    lines = read_lines(exports, until=end)
    return window_purchases(lines, after_days=days_since_epoch(start), until_days=days_since_epoch(end))


@dataclass(frozen=True, slots=True)
class Histories:
    """M shoppers and their distinct items, each shopper's most recently bought item last."""

    numbers: Mapping[str, int]  # shopper id -> place in the arrays below, in order of the id
    offsets: Counts  # (M + 1,) into the entries
    rows: Rows  # item rows of the entries
    orders: Rows  # orders that contained the item
    last_on: Doubles  # days since the epoch
    first_on: Doubles
    count_orders: Rows  # (M,) orders of the shopper in all
    item_names: tuple[str, ...]  # (I,)
    recent: Doubles  # orders faded by age, as of last_on

    def entries(self, shopper_id: str) -> slice:
        """Where the shopper's entries stand in `rows`, `orders`, `last_on` and `first_on`."""
        number = self.numbers.get(shopper_id)
        return slice(0, 0) if number is None else slice(int(self.offsets[number]), int(self.offsets[number + 1]))

    def of(self, shopper_id: str) -> PurchaseHistory:
        """The history as serving reads it; empty for an unknown shopper."""
        number = self.numbers.get(shopper_id)
        if number is None:
            return EMPTY
        span = self.entries(shopper_id)
        return PurchaseHistory(
            item_ids=tuple(self.item_names[row] for row in self.rows[span]),
            orders=tuple(self.orders[span].tolist()),
            last_on=tuple(self.last_on[span].tolist()),
            first_on=tuple(self.first_on[span].tolist()),
            count_orders=int(self.count_orders[number]),
            recent=tuple(self.recent[span].tolist()),
        )

    def shoppers(self, cohorts: Mapping[str, int]) -> Iterator[Shopper]:
        """Everyone with a history or a cohort, in order of the id."""
        for shopper_id in sorted({*self.numbers, *cohorts}):
            yield Shopper(shopper_id, self.of(shopper_id), cohorts.get(shopper_id, UNKNOWN_COHORT))


def build_histories(lines: Lines, item_ids: Ids) -> Histories:
    """One entry for each shopper and item of the lines; `item_ids` (I,)."""
    entries = (
        pl.DataFrame({"shopper": lines.shopper, "row": lines.item, "days": lines.days})
        .with_row_index("line")
        .group_by("shopper", "row")
        .agg(
            orders=pl.len(),
            last_on=pl.col("days").max(),
            first_on=pl.col("days").min(),
            last_line=pl.col("line").max(),
            recent=(2.0 ** ((pl.col("days") - pl.col("days").max()) / RECENT_HALF_LIFE_DAYS)).sum(),
        )
        .sort("shopper", "last_on", "last_line")
    )
    baskets = distinct(lines.shopper.astype(np.int64) * max(lines.count_orders, 1) + lines.order)
    count = len(lines.shopper_ids)
    sizes = np.bincount(entries["shopper"].to_numpy(), minlength=count)
    return Histories(
        numbers={shopper_id: number for number, shopper_id in enumerate(lines.shopper_ids)},
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        rows=entries["row"].to_numpy().astype(np.int32),
        orders=entries["orders"].to_numpy().astype(np.int32),
        last_on=entries["last_on"].to_numpy().astype(np.float64).round(DECIMALS),
        first_on=entries["first_on"].to_numpy().astype(np.float64).round(DECIMALS),
        count_orders=np.bincount(baskets // max(lines.count_orders, 1), minlength=count).astype(np.int32),
        item_names=tuple(bytes(item_id).decode() for item_id in item_ids),
        recent=entries["recent"].to_numpy().astype(np.float64).round(DECIMALS),
    )


def shopper_line(shopper: Shopper) -> str:
    """One line of shoppers.jsonl: the fields of Shopper, its history nested."""
    return json.dumps(asdict(shopper), ensure_ascii=False, separators=(",", ":"))
