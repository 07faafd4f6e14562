"""Count exposures, clicks and the shop's trade from the session stream, each exactly once.

A consumer's position in a stream shard moves in the same transaction that adds the counts, so a batch
that is delivered again, in other portions or after a crash, adds only what has not been counted. Where a
batch has more cells than a transaction holds, the first transaction moves the position and leaves the
rest beside it as pending; whoever comes next adds what is pending before anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from recommender.domain.experiments.counts import CellCount, outcomes
from recommender.domain.experiments.shop_counts import ShopCount, shop_counts, traded_items
from recommender.errors import Conflict
from recommender.ports import ExperimentStore, MarginSource, StreamPosition

CONSUMER: Final = "count_outcomes"
ATTEMPTS: Final = 3
MAX_CELLS: Final = 99  # a DynamoDB transaction holds 100 items; one is the position

Count = CellCount | ShopCount
Entry = tuple[str, Sequence[Mapping[str, Any]]]  # a stream record: its sequence number (digits) and its events


@dataclass(frozen=True, slots=True)
class Counted:
    """What a call added to the counters, leftovers of a crashed call included."""

    exposures: int = 0
    clicks: int = 0
    transactions: int = 0

    orders: int = 0

    def plus(self, cells: Sequence[Count]) -> Counted:
        """With one more transaction of these cells."""
        outcome = [cell for cell in cells if isinstance(cell, CellCount)]
        return Counted(
            exposures=self.exposures + sum(cell.exposures for cell in outcome),
            clicks=self.clicks + sum(cell.clicks for cell in outcome),
            orders=self.orders + sum(cell.orders for cell in cells if isinstance(cell, ShopCount)),
            transactions=self.transactions + 1,
        )


def count_outcomes(
    entries: Iterable[Entry],
    *,
    shard_id: str,
    store: ExperimentStore,
    holdout_share: float | None = None,
    margins: MarginSource | None = None,
) -> Counted:
    """Add what these records of one stream shard count beyond the shard's position.

    The shop's trade is booked by `holdout_share`, and not at all where no experiment holds anybody out (None);
    without `margins` only its revenue. A transaction that lost to another one is tried again from the position
    then stored. Raises Conflict where it keeps losing, and DependencyDown; the batch is then to be delivered again.
    """
    batch = list(entries)

    def count(records: Sequence[Mapping[str, Any]]) -> list[Count]:
        return [*outcomes(records), *_trade(records, holdout_share, margins)]

    for _ in range(ATTEMPTS - 1):
        with suppress(Conflict):
            return _count(batch, count, shard_id=shard_id, store=store)
    return _count(batch, count, shard_id=shard_id, store=store)


def _trade(
    records: Sequence[Mapping[str, Any]], holdout_share: float | None, margins: MarginSource | None
) -> list[ShopCount]:
    if holdout_share is None:
        return []
    traded = traded_items(records)
    known = margins.margin_shares(traded) if margins and traded else {}
    return shop_counts(records, holdout_share=holdout_share, margin_shares=known)


def _count(
    entries: Sequence[Entry],
    count: Callable[[Sequence[Mapping[str, Any]]], list[Count]],
    *,
    shard_id: str,
    store: ExperimentStore,
) -> Counted:
    at = store.stream_position(consumer=CONSUMER, shard_id=shard_id)
    at, counted = _add(at, at.sequence, at.pending, Counted(), shard_id=shard_id, store=store)
    fresh = {sequence: records for sequence, records in entries if int(sequence) > int(at.sequence or -1)}
    cells = count([record for records in fresh.values() for record in records])
    last = max(fresh, key=int, default="")
    _, counted = _add(at, last, cells, counted, shard_id=shard_id, store=store)
    return counted


def _add(
    at: StreamPosition,
    sequence: str,
    cells: Sequence[Count],
    counted: Counted,
    *,
    shard_id: str,
    store: ExperimentStore,
) -> tuple[StreamPosition, Counted]:
    """Add the cells in as many transactions as they need, the rest always pending at the new position."""
    while cells:
        part, cells = cells[:MAX_CELLS], tuple(cells[MAX_CELLS:])
        reached = StreamPosition(sequence, cells)
        store.add_counts(part, consumer=CONSUMER, shard_id=shard_id, after=at, upto=reached)
        at, counted = reached, counted.plus(part)
    return at, counted
