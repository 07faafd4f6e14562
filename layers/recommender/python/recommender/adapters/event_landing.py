"""The landing of accepted events on S3: JSON lines, one object a batch, in a folder a day.

The key names the batch, so a batch delivered twice is one object; the warehouse loads the folder's new
objects and merges by event id, so even a batch that was cut differently counts once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recommender.errors import DependencyDown

PREFIX: Final = "landing/events"


class S3Landing:
    """An EventSink."""

    def __init__(self, client: Any, bucket: str) -> None:
        """Below PREFIX in this bucket; `client` is boto3's S3 client."""
        self._client = client
        self._bucket = bucket

    def deliver(self, batch_id: str, records: Sequence[Mapping[str, Any]], *, accepted_at: datetime) -> None:
        """Store the records as one object. Raises DependencyDown; the stream delivers the batch again then."""
        body = "".join(json.dumps(record, separators=(",", ":"), sort_keys=True) + "\n" for record in records)
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=landing_key(batch_id, accepted_at),
                Body=body.encode(),
                ContentType="application/x-ndjson",
            )
        except (ClientError, BotoCoreError) as error:
            raise DependencyDown(f"S3 did not take batch {batch_id}: {error}") from error


def landing_key(batch_id: str, accepted_at: datetime) -> str:
    """The object of a batch, in the folder of the day (UTC) on which it was accepted."""
    return f"{PREFIX}/dt={accepted_at.astimezone(UTC).date().isoformat()}/{batch_id}.jsonl"


def s3_client() -> Any:
    """boto3's client; it runs behind a stream, so it can wait longer than a page view."""
    return boto3.client(
        "s3", config=Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
    )
