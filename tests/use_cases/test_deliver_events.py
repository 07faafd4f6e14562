"""Accepted events land once, under a name that the stream decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from recommender.contracts.events import StreamBatch
from recommender.use_cases.count_outcomes import batch_id, deliver_events

from tests.fakes.sources import MemoryEvents

MOMENT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def batch(*entries: tuple[str, list[dict[str, Any]]], shard_id: str = "arn:aws:dynamodb:stream/1") -> StreamBatch:
    return StreamBatch(shard_id, entries, MOMENT)


def test_all_records_of_a_batch_land_together_in_order() -> None:
    sink = MemoryEvents()

    delivered = deliver_events(batch(("100", [{"event_id": "e1"}]), ("101", [{"event_id": "e2"}])), sink=sink)

    assert delivered == 2
    assert list(sink.batches.values()) == [[{"event_id": "e1"}, {"event_id": "e2"}]]


def test_a_batch_without_events_lands_nowhere() -> None:
    sink = MemoryEvents()

    assert deliver_events(batch(("100", [])), sink=sink) == 0
    assert sink.batches == {}


def test_a_batch_delivered_twice_is_there_once() -> None:
    sink = MemoryEvents()

    for _ in range(2):
        deliver_events(batch(("100", [{"event_id": "e1"}])), sink=sink)

    assert len(sink.batches) == 1


def test_the_name_tells_shards_and_positions_apart_and_fits_in_an_object_key() -> None:
    names = {
        batch_id(batch(("100", []), ("101", []))),
        batch_id(batch(("100", []))),
        batch_id(batch(("100", []), ("101", []), shard_id="other")),
    }

    assert len(names) == 3
    assert all(set(name) <= set("0123456789abcdef-") for name in names)
