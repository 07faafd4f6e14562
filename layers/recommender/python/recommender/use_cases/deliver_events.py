"""Carry accepted events to the landing, from which the warehouse loads them.

A batch is named by the stream positions it spans, and stored under the day of its first acceptance: both
are facts of the stream, so a batch that is delivered twice is the same object twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from recommender.ports import EventSink


def deliver_events(
    records: Sequence[Mapping[str, Any]],
    *,
    shard_id: str,
    first: str,
    last: str,
    accepted_at: datetime,
    sink: EventSink,
) -> int:
    """Land the records of one stream batch, from sequence number `first` to `last`; returns their number."""
    if records:
        sink.deliver(batch_id(shard_id, first, last), records, accepted_at=accepted_at)
    return len(records)


def batch_id(shard_id: str, first: str, last: str) -> str:
    """The name of a batch, safe in an object key; the shard only as a digest, because it may be an ARN."""
    shard = hashlib.blake2b(shard_id.encode(), digest_size=6).hexdigest()
    return f"{shard}-{first}-{last}"
