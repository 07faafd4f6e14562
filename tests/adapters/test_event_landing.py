"""The landing in memory and on S3 behave alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recommender.adapters.s3 import S3Landing, s3_client
from recommender.errors import DependencyDown
from recommender.ports import EventSink

from tests.fakes.sources import MemoryEvents
from tests.suites.event_sink import MOMENT, RECORDS, EventSinkSuite, Landed

BUCKET = "test-events"


class TestMemory(EventSinkSuite):
    @pytest.fixture
    def sink(self) -> MemoryEvents:
        return MemoryEvents()

    @pytest.fixture
    def landed(self, sink: MemoryEvents) -> Landed:
        return lambda: {key: [dict(record) for record in records] for key, records in sink.batches.items()}


class TestS3(EventSinkSuite):
    @pytest.fixture
    def client(self, aws_environment: dict[str, str]) -> Any:
        client = s3_client()
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        return client

    @pytest.fixture
    def sink(self, client: Any) -> EventSink:
        return S3Landing(client, BUCKET)

    @pytest.fixture
    def landed(self, client: Any) -> Landed:
        def read() -> dict[tuple[str, str], list[dict[str, Any]]]:
            found = {}
            for entry in client.list_objects_v2(Bucket=BUCKET, Prefix="landing/events/dt=")["Contents"]:
                day, name = entry["Key"].removeprefix("landing/events/dt=").split("/")
                lines = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read().decode().splitlines()
                found[day, name.removesuffix(".jsonl")] = [json.loads(line) for line in lines]
            return found

        return read

    def test_a_bucket_that_does_not_take_the_batch_makes_the_stream_deliver_it_again(self, client: Any) -> None:
        with pytest.raises(DependencyDown, match="b1"):
            S3Landing(client, "no-such-bucket").deliver("b1", RECORDS, accepted_at=MOMENT)
