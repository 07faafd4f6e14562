"""Trade with the hold-out and with everybody else: sessions, orders, revenue, margin.

The hold-out is a hash of the visitor, so any accepted event can be booked to its group, whether or not a
recommendation led to it. The counts belong to the installation, not to one experiment, and are kept by UTC day of
the event: which cell an event belongs to does not depend on when it arrives. Visitors fall into 64 buckets, whole
ones each, so that the spread between buckets gives the error of a ratio.

Decisions: docs/decisions/experiments-operation.md (130).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from recommender.contracts.event_kinds import ORDER, REFUND, SESSION
from recommender.contracts.tables import VISITOR_BUCKETS
from recommender.domain.experiments.running.assignment import in_holdout
from recommender.domain.experiments.running.config import Snapshot
from recommender.domain.experiments.running.counts import HOLDOUT, merged

TREATED: Final = "treated"  # everybody outside of the hold-out


@dataclass(frozen=True, slots=True)
class ShopCount:
    """Counts of one bucket of visitors of one group on one day. Added to, never set; refunds subtract."""

    day: str  # UTC, YYYY-MM-DD
    group: str  # HOLDOUT or TREATED
    bucket: int
    sessions: int = 0  # with at least one event
    orders: int = 0
    units: int = 0
    revenue_cents: int = 0  # of the items whose price the event has
    margin_cents: int = 0  # of the items whose margin is known
    costed_cents: int = 0  # revenue of those

    @property
    def cell(self) -> tuple[str, str, int]:
        """The key of this counter."""
        return (self.day, self.group, self.bucket)

    def plus(self, other: ShopCount) -> ShopCount:
        """Both counts of the same cell."""
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in SUMS})


SUMS: Final = ("sessions", "orders", "units", "revenue_cents", "margin_cents", "costed_cents")


def shop_counts(
    records: Iterable[Mapping[str, Any]], *, holdout_share: float, margin_shares: Mapping[str, float]
) -> list[ShopCount]:
    """Sum these accepted events, each cell once, in order of the cell; by `rewards` of contracts/events.py."""
    return merged(
        _count(record, holdout_share, margin_shares)
        for record in records
        if not {SESSION, ORDER, REFUND}.isdisjoint(record.get("rewards", ()))
    )


def held_out_share(snapshot: Snapshot | None) -> float | None:
    """The share of visitors that the experiments in force hold out; None where none runs."""
    configs = snapshot.configs if snapshot else ()
    return max((config.holdout_share for config in configs if config.status != "draft"), default=None)


def traded_items(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """The items that were newly bought or given back."""
    return {
        item["item_id"]
        for record in records
        if not {ORDER, REFUND}.isdisjoint(record.get("rewards", ()))
        for item in record["items"]
    }


def bucket_of(visitor_id: str) -> int:
    """The bucket of a visitor, independent of the hold-out."""
    digest = hashlib.blake2b(f"bucket|{visitor_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % VISITOR_BUCKETS


def _count(record: Mapping[str, Any], holdout_share: float, margin_shares: Mapping[str, float]) -> ShopCount:
    rewards = record["rewards"]
    sign = (ORDER in rewards) - (REFUND in rewards)
    units = revenue = margin = costed = 0
    for item in record["items"] if sign else ():
        amount = item["quantity"] * (item["price_cents"] or 0)
        share = margin_shares.get(item["item_id"])
        units += item["quantity"]
        revenue += amount
        costed += 0 if share is None else amount
        margin += 0 if share is None else round(amount * share)
    return ShopCount(
        day=record["event_time"][:10],
        group=HOLDOUT if in_holdout(record["visitor_id"], holdout_share) else TREATED,
        bucket=bucket_of(record["visitor_id"]),
        sessions=rewards.count(SESSION),
        orders=rewards.count(ORDER),
        units=sign * units,
        revenue_cents=sign * revenue,
        margin_cents=sign * margin,
        costed_cents=sign * costed,
    )
