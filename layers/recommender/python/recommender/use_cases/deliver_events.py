"""Carry accepted events to the landing, from which the warehouse loads them.

A batch is named by the stream positions it spans, and stored under the day of its first acceptance: both
are facts of the stream, so a batch that is delivered twice is the same object twice.
"""

from __future__ import annotations

import hashlib

from recommender.contracts.outbox import StreamBatch
from recommender.ports import EventSink


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
