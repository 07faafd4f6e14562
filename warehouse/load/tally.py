"""Totals of a delivered file: rows, orders, units, money, shoppers; of the good rows and of the refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import polars as pl

GOOD: Final = ""  # the key of the rows that were taken, among reasons
Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]


def _nobody() -> Hashes:
    return np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of some rows, as far as they could be read; orders and shoppers as sorted hashes of their ids."""

    rows: int = 0
    units: int = 0
    cents: int = 0
    orders: Hashes = field(default_factory=_nobody)
    shoppers: Hashes = field(default_factory=_nobody)

    def __add__(self, other: Tally) -> Tally:
        """Both; an order or a shopper of both counts once."""
        return Tally(
            self.rows + other.rows,
            self.units + other.units,
            self.cents + other.cents,
            np.union1d(self.orders, other.orders),
            np.union1d(self.shoppers, other.shoppers),
        )


def tally(frame: pl.DataFrame) -> Tally:
    """The count of rows; of order lines that were sold, and are no returns, orders, units, money and shoppers too."""
    if "order_id" not in frame.columns:
        return Tally(frame.height)
    sold = frame.drop_nulls(["quantity", "price_cents"])
    units, cents = int(sold["quantity"].sum() or 0), int(sold["price_cents"].sum() or 0)
    return Tally(frame.height, units, cents, _hashes(sold["order_id"]), _hashes(sold["shopper_id"]))


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    whole = Tally()
    for one in tallies:
        whole = whole + one
    return whole


def _hashes(ids: pl.Series) -> Hashes:
    hashed: Hashes = ids.drop_nulls().unique().hash(seed=0).sort().to_numpy().astype(np.uint64)
    return hashed
