"""One definition of an event: GA4 bodies come in, flat records go out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.event_kinds import EVENT_NAMES
from recommender.contracts.events import (
    EVENT_COLUMNS,
    Event,
    EventItem,
    parse_event,
    to_record,
)
from recommender.contracts.openapi import event_schema
from recommender.errors import InvalidInput

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ga4(**changes: Any) -> dict[str, Any]:
    """A GA4 event as a storefront's dataLayer holds it, with keys that are not ours."""
    return {
        "event_id": "e1",
        "event_name": "add_to_cart",
        "event_time": "2026-11-23T11:59:00Z",
        "visitor_id": "v1",
        "session_id": "s1",
        "currency": "USD",
        "engagement_time_msec": 120,
        "items": [{"item_id": "SKU_1", "item_name": "Shirt", "price": 12.34, "quantity": 2, "index": 0}],
        **changes,
    }


def test_a_ga4_body_is_read_unchanged_and_foreign_keys_are_ignored() -> None:
    event = parse_event(ga4(), now=NOW)

    assert event.items == (EventItem("SKU_1", quantity=2, price_cents=1234, index=0),)
    assert event.event_time == NOW - timedelta(minutes=1)


def test_the_ids_of_the_envelope_fill_in() -> None:
    bare = {key: value for key, value in ga4().items() if key not in ("visitor_id", "session_id")}

    event = parse_event(bare, now=NOW, visitor_id="v9", session_id="s9", user_id="u9")

    assert (event.visitor_id, event.session_id, event.user_id) == ("v9", "s9", "u9")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"event_name": "purchased"}, "/event_name", "unknown_event"),
        ({"event_time": "2026-11-24T12:00:01Z"}, "/event_time", "event_from_future"),
        ({"event_time": "2026-10-24T11:59:59Z"}, "/event_time", "event_too_old"),
        ({"event_id": ""}, "/event_id", "invalid_argument"),
        ({"session_id": "s" * 129}, "/session_id", "invalid_argument"),
        ({"items": [{"item_id": 7}]}, "/items/0/item_id", "invalid_argument"),
        ({"items": [{"item_id": "a", "quantity": 0}]}, "/items/0/quantity", "invalid_argument"),
        ({"items": [{"item_id": "a"}] * 201}, "/items", "too_many"),
        ({"visible": 1}, "/visible", "invalid_argument"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_event(ga4(**changes), now=NOW)

    assert (refusal.value.problems[0].pointer, refusal.value.code) == (pointer, code)


texts = st.text(min_size=1, max_size=20)
optional_texts = st.none() | texts
items = st.builds(
    EventItem,
    item_id=texts,
    quantity=st.integers(1, 9),
    price_cents=st.none() | st.integers(0, 10**9),
    index=st.none() | st.integers(0, 99),
)
all_events = st.builds(
    Event,
    event_id=texts,
    event_name=st.sampled_from(EVENT_NAMES),
    event_time=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    visitor_id=texts,
    session_id=texts,
    user_id=optional_texts,
    items=st.lists(items, max_size=3).map(tuple),
    item_list_id=optional_texts,
    search_term=optional_texts,
    transaction_id=optional_texts,
    attribution_token=optional_texts,
    visible=st.booleans(),
    derived=st.booleans(),
)


@given(all_events)
def test_a_record_is_the_event_in_plain_json(event: Event) -> None:
    record = json.loads(json.dumps(to_record(event)))

    assert datetime.fromisoformat(record.pop("event_time")) == event.event_time
    assert tuple(EventItem(**item) for item in record.pop("items")) == event.items
    assert record == {name: getattr(event, name) for name in record}


@given(all_events)
def test_a_record_has_exactly_the_declared_columns(event: Event) -> None:
    assert list(to_record(event)) == [column.name for column in EVENT_COLUMNS]


def test_the_json_schema_describes_every_column_but_the_derived_mark() -> None:
    assert set(event_schema()["properties"]) == {column.name for column in EVENT_COLUMNS} - {"derived"}


def test_nobody_can_send_a_derived_event() -> None:
    assert parse_event(ga4(derived=True), now=NOW).derived is False
