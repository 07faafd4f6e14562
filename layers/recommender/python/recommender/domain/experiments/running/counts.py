"""Counts: from accepted events to exposures and clicks per cell.

A cell is (experiment, placement, epoch, segment, variant, shard). Epochs are kept apart because weights
and traffic move together with time: collapsed over epochs, the counts would favour whichever variant
had the most traffic on good days. The shard is a hash of the shopper, so that the eight shards of a
cell are independent groups of shoppers, whose spread shows how much repeat visits inflate the variance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self, TypeVar

from recommender.contracts.event_kinds import CLICK, EXPOSURE
from recommender.contracts.tables import COUNTER_SHARDS

HOLDOUT: Final = "holdout"  # segment of the units that always see the control
RANDOMISED: Final = "all"  # of all others where the token lacks the visitor's personalization level


class Addable(Protocol):
    """Counts of a cell that can be added up."""

    @property
    def cell(self) -> tuple[Any, ...]:
        """The key of a counter."""

    def plus(self, other: Self) -> Self:
        """Both counts of the same cell."""


C = TypeVar("C", bound=Addable)


@dataclass(frozen=True, slots=True)
class CellCount:
    """Counts of one cell. Added to, never set."""

    experiment_id: str
    placement: str
    epoch: int
    segment: str
    variant: str
    exposures: int
    clicks: int
    shard: int = 0
    served_ms: int = 0  # sum over the exposures
    degraded: int = 0  # exposures of pages for which something was missing

    @property
    def cell(self) -> tuple[str, str, int, str, str, int]:
        """The key of this counter."""
        return (self.experiment_id, self.placement, self.epoch, self.segment, self.variant, self.shard)

    def plus(self, other: CellCount) -> CellCount:
        """Both counts of the same cell."""
        return replace(
            self,
            exposures=self.exposures + other.exposures,
            clicks=self.clicks + other.clicks,
            served_ms=self.served_ms + other.served_ms,
            degraded=self.degraded + other.degraded,
        )


def outcomes(records: Iterable[Mapping[str, Any]]) -> list[CellCount]:
    """The cells that these accepted events add to, each once, in order of the cell.

    `rewards` of a record (contracts/events.py) lists the event's new rewards, at most one exposure
    and one click per recommendation and placement; it is booked to the epoch and variant of its claims.
    """
    return merged(_count(record["claims"], record) for record in records if _is_outcome(record))


def merged(counts: Iterable[C]) -> list[C]:
    """The same counts with each cell once, in order of the cell."""
    sums: dict[tuple[Any, ...], C] = {}
    for count in counts:
        before = sums.get(count.cell)
        sums[count.cell] = count if before is None else before.plus(count)
    return [sums[cell] for cell in sorted(sums)]


def shard_of(unit_id: str) -> int:
    """The counter shard of a shopper."""
    digest = hashlib.blake2b(f"shard|{unit_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % COUNTER_SHARDS


def _is_outcome(record: Mapping[str, Any]) -> bool:
    claims = record.get("claims")
    return bool(claims and claims["experiment"] and not {EXPOSURE, CLICK}.isdisjoint(record.get("rewards", ())))


def _count(claims: Mapping[str, Any], record: Mapping[str, Any]) -> CellCount:
    exposures = record["rewards"].count(EXPOSURE)
    return CellCount(
        experiment_id=claims["experiment"],
        placement=claims["placement"],
        epoch=claims["epoch"],
        segment=HOLDOUT if claims.get("is_holdout") else claims.get("segment") or RANDOMISED,
        variant=claims["variant"],
        exposures=exposures,
        clicks=record["rewards"].count(CLICK),
        shard=shard_of(record["visitor_id"]),
        served_ms=exposures * claims.get("served_ms", 0),
        degraded=exposures * bool(claims.get("degraded")),
    )
