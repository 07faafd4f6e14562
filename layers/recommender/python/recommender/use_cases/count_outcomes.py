"""Count exposures, clicks and the shop's trade from the session stream, each exactly once.

A consumer's position in a stream shard moves in the same transaction that adds the counts, so a batch
that is delivered again, in other portions or after a crash, adds only what has not been counted. Where a
batch has more cells than a transaction holds, the first transaction moves the position and leaves the
rest beside it as pending; whoever comes next adds what is pending before anything else. An order counts once
per transaction id, whatever session reports it: it is noted in the ledger by the very transaction that counts it.

Carry accepted events to the landing, from which the warehouse loads them.

A batch is named by the stream positions it spans, and stored under the day of its first acceptance: both
are facts of the stream, so a batch that is delivered twice is the same object twice.

Decisions: docs/decisions/experiments-operation.md (062).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from recommender.contracts.event_kinds import ORDER, REFUND
from recommender.contracts.events import StreamBatch
from recommender.contracts.tables import LEDGER, order_key
from recommender.domain.experiments.running.counts import CellCount, outcomes
from recommender.domain.experiments.running.shop_counts import ShopCount, shop_counts, traded_items
from recommender.errors import Conflict
from recommender.ports import EventSink, ExperimentStore, MarginSource, StreamPosition

CONSUMER: Final = "count_outcomes"
ATTEMPTS: Final = 3
MAX_WRITES: Final = 99  # a DynamoDB transaction holds 100 items; one is the position
MAX_ORDERS: Final = 60  # noted in one transaction; what one call of a browser reports beyond is no shopper's

Count = CellCount | ShopCount
Entry = tuple[str, Sequence[Mapping[str, Any]]]  # a stream record: its sequence number (digits) and its events


@dataclass(frozen=True, slots=True)
class Counted:
    """The totals that a call added to the counters, leftovers of a crashed call included."""

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
    books_trade = holdout_share is not None

    def count(records: Sequence[Mapping[str, Any]]) -> list[Count]:
        return [*outcomes(records), *_trade(records, holdout_share, margins)]

    for _ in range(ATTEMPTS - 1):
        with suppress(Conflict):
            return _count(batch, count, books_trade=books_trade, shard_id=shard_id, store=store)
    return _count(batch, count, books_trade=books_trade, shard_id=shard_id, store=store)


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
    books_trade: bool,
    shard_id: str,
    store: ExperimentStore,
) -> Counted:
    at = store.stream_position(consumer=CONSUMER, shard_id=shard_id)
    at, counted = _add(at, at.sequence, at.pending, Counted(), shard_id=shard_id, store=store)
    fresh = {sequence: records for sequence, records in entries if int(sequence) > int(at.sequence or -1)}
    for portion in _portions(sorted(fresh.items(), key=lambda entry: int(entry[0]))):
        records = [record for _, found in portion for record in found]
        orders: list[str] = []
        if books_trade:
            orders = [order for order in map(_order_of, records) if order is not None]
            records, orders = _counted_once(records, store.counted_orders(orders))
        at, counted = _add(at, portion[-1][0], count(records), counted, orders=orders, shard_id=shard_id, store=store)
    return counted


def _portions(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries in order, cut where a portion would note more than MAX_ORDERS orders."""
    portion: list[Entry] = []
    noted = 0
    for entry in entries:
        orders = sum(_order_of(record) is not None for record in entry[1])
        if portion and noted + orders > MAX_ORDERS:
            yield portion
            portion, noted = [], 0
        portion.append(entry)
        noted += orders
    if portion:
        yield portion


def _order_of(record: Mapping[str, Any]) -> str | None:
    """The ledger's key of the order or the refund that the record counts; None where nothing tells it from others."""
    kind = next((kind for kind in (ORDER, REFUND) if kind in record.get("rewards", ())), None)
    if kind is None or record.get("transaction_id") is None:
        return None
    item_ids = [item["item_id"] for item in record["items"]] if kind == REFUND else []
    return order_key(kind, record["transaction_id"], item_ids)[LEDGER.partition_key]


def _counted_once(
    records: Sequence[Mapping[str, Any]], counted: frozenset[str]
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The records without the orders that were counted before, and the keys of those that are counted now."""
    kept: list[Mapping[str, Any]] = []
    orders: dict[str, None] = {}
    for record in records:
        order = _order_of(record)
        if order is not None and (order in counted or order in orders or len(orders) == MAX_ORDERS):
            record = {**record, "rewards": [one for one in record["rewards"] if one not in (ORDER, REFUND)]}
        elif order is not None:
            orders[order] = None
        kept.append(record)
    return kept, list(orders)


def _add(
    at: StreamPosition,
    sequence: str,
    cells: Sequence[Count],
    counted: Counted,
    *,
    shard_id: str,
    store: ExperimentStore,
    orders: Sequence[str] = (),
) -> tuple[StreamPosition, Counted]:
    """Add the cells in as many transactions as they need, the rest always pending at the new position.

    The orders are noted by the first one, which moves the position.
    """
    while cells:
        room = MAX_WRITES - len(orders)
        part, cells = cells[:room], tuple(cells[room:])
        reached = StreamPosition(sequence, cells)
        store.add_counts(part, consumer=CONSUMER, shard_id=shard_id, after=at, upto=reached, orders=orders)
        at, counted, orders = reached, counted.plus(part), ()
    return at, counted


def deliver_events(batch: StreamBatch, *, sink: EventSink) -> int:
    """Land the records of one stream batch; returns their number."""
    records = batch.records
    if records:
        sink.deliver(batch_id(batch), records, accepted_at=batch.accepted_at)
    return len(records)


def batch_id(batch: StreamBatch) -> str:
    """The name of a batch, safe in an object key; the shard only as a digest, because it may be an ARN."""
    shard = hashlib.blake2b(batch.shard_id.encode(), digest_size=6).hexdigest()
    return f"{shard}-{batch.first}-{batch.last}"
