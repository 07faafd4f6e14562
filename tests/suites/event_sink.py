"""What every EventSink must do. Subclass it with `sink` and `landed`, which reads back what lies there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from recommender.ports import EventSink

Landed = Callable[[], dict[tuple[str, str], list[dict[str, Any]]]]  # (day, batch id) -> records
MOMENT = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
RECORDS: list[Mapping[str, Any]] = [{"event_id": "e1", "claims": None}, {"event_id": "ü2", "claims": {"epoch": 3}}]


class EventSinkSuite:
    """Behaviour of the port."""

    def test_a_batch_lies_in_the_folder_of_the_day_it_was_accepted(self, sink: EventSink, landed: Landed) -> None:
        sink.deliver("b1", RECORDS, accepted_at=MOMENT)

        assert landed() == {("2026-11-22", "b1"): RECORDS}

    def test_the_same_batch_twice_is_one(self, sink: EventSink, landed: Landed) -> None:
        sink.deliver("b1", RECORDS, accepted_at=MOMENT)
        sink.deliver("b1", RECORDS, accepted_at=MOMENT)
        sink.deliver("b2", RECORDS[:1], accepted_at=MOMENT)

        assert landed() == {("2026-11-22", "b1"): RECORDS, ("2026-11-22", "b2"): RECORDS[:1]}
