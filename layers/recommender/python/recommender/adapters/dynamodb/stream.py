"""The session table's stream as it reaches a Lambda: which events were accepted, in order, shard by shard."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from recommender.contracts.events import ATTRIBUTE, StreamBatch, unpack


def batches(event: Mapping[str, Any]) -> list[StreamBatch]:
    """The batches of a Lambda stream event, one for each shard.

    An event of a consumer with a tumbling window names its shard; otherwise the stream's ARN stands in.
    Deletions by TTL carry no outbox but keep their place, so that the position moves past them.
    """
    by_shard: dict[str, list[Mapping[str, Any]]] = {}
    for record in event["Records"]:
        shard_id = event.get("shardId") or record.get("shardId") or record["eventSourceARN"]
        by_shard.setdefault(shard_id, []).append(record)
    return [_batch(shard_id, records) for shard_id, records in by_shard.items()]


def _batch(shard_id: str, records: list[Mapping[str, Any]]) -> StreamBatch:
    changes = [record["dynamodb"] for record in records]
    return StreamBatch(
        shard_id=shard_id,
        entries=tuple((change["SequenceNumber"], _accepted(change)) for change in changes),
        accepted_at=_moment(changes[0]["ApproximateCreationDateTime"]),
    )


def _accepted(change: Mapping[str, Any]) -> list[dict[str, Any]]:
    packed = change.get("NewImage", {}).get(ATTRIBUTE)
    return [] if packed is None else unpack(base64.b64decode(packed["B"]))


def _moment(value: float) -> datetime:
    return datetime.fromtimestamp(float(value), UTC)
