"""What a session item hands on through its table's stream: the events just accepted, with what they count.

The session item is the outbox: events become visible to the counters and to S3 in the same conditional
write that makes them known, so neither can miss or invent one. A record is the flat event record plus
`claims`, the verified content of its attribution token (null without one), and `rewards`, what the
event newly counts for its recommendation. Consumers need neither the secret nor a look-up.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from recommender.contracts.events import Event, to_record

EXPOSURE: Final = "exposure"  # the list was seen: at most once per (recommendation, placement)
CLICK: Final = "click"  # an item of it was chosen: at most once, and never without its exposure
SESSION: Final = "session"  # the first event of its session
ORDER: Final = "order"  # a purchase: at most once per transaction id of a session
REFUND: Final = "refund"  # of these items of this transaction: at most once in a session
ATTRIBUTE: Final = "accepted"  # of the session item


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event that counts from now on, with its verified claims and what it adds to the counters."""

    event: Event
    claims: Mapping[str, Any] | None = None
    rewards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """The outboxes that one shard of the stream delivered at once, in order, each with its sequence number."""

    shard_id: str
    entries: tuple[tuple[str, list[dict[str, Any]]], ...]
    accepted_at: datetime  # of the first one, by the stream's clock

    @property
    def first(self) -> str:
        """The first sequence number."""
        return self.entries[0][0]

    @property
    def last(self) -> str:
        """The last sequence number."""
        return self.entries[-1][0]

    @property
    def records(self) -> list[dict[str, Any]]:
        """All accepted records."""
        return [record for _, records in self.entries for record in records]


def to_accepted_record(accepted: Accepted) -> dict[str, Any]:
    """The record of the outbox and of the S3 landing."""
    return {**to_record(accepted.event), "claims": accepted.claims, "rewards": list(accepted.rewards)}


def pack(accepted: Sequence[Accepted]) -> bytes:
    """Compressed JSON for the session item's binary attribute."""
    return zlib.compress(json.dumps([to_accepted_record(entry) for entry in accepted]).encode(), 1)


def unpack(content: bytes) -> list[dict[str, Any]]:
    """The records that `pack` wrote."""
    records: list[dict[str, Any]] = json.loads(zlib.decompress(content))
    return records
