"""The session stream reaches the landing."""

from __future__ import annotations

import pytest
from recommender.adapters.dynamodb.stream import batches

from tests.fakes.sources import MemoryEvents
from tests.handlers.deployed import deployed
from tests.handlers.lambda_events import lambda_event


def test_the_outbox_of_each_write_lands_and_a_deletion_lands_nothing(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = MemoryEvents()
    handler = deployed("deliver_events", monkeypatch).create_handler(sink)

    assert [handler(lambda_event("session_stream"), None) for _ in range(2)] == [{"delivered": 1}] * 2

    ((day, _),) = sink.batches
    ((record,),) = sink.batches.values()
    assert day == "2026-11-23"
    assert (record["event_id"], record["rewards"]) == ("e8", ["exposure", "click"])


def test_a_window_names_its_shard_and_a_bare_batch_its_stream() -> None:
    event = lambda_event("session_stream")

    (bare,) = batches(event)
    (windowed,) = batches({**event, "shardId": "shardId-7"})

    assert bare.shard_id.startswith("arn:aws:dynamodb")
    assert windowed.shard_id == "shardId-7"
    assert (bare.first, bare.last) == ("100000000000000000001", "100000000000000000002")
    assert [len(records) for _, records in bare.entries] == [1, 0]


def test_the_last_call_of_a_window_may_carry_no_record() -> None:
    assert batches({"Records": [], "isFinalInvokeForWindow": True}) == []
