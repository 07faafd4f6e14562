"""What each shopper has bought, as flat arrays, and as the lines of shoppers.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from recommender.domain.arrays import Counts, Doubles, Ids, Rows
from recommender.domain.shopper import RECENT_HALF_LIFE_DAYS, UNKNOWN_COHORT, PurchaseHistory, Shopper

from training_jobs.session_ranker.lines import Lines, distinct

EMPTY = PurchaseHistory()
DECIMALS = 5  # of days (a second) and of faded counts: shorter lines, the same numbers in training and serving


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
    """One entry for each shopper and item of the lines."""
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
