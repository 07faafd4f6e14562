"""Bodies and queries become checked requests, or a problem that names the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.api import (
    did_you_mean,
    parse_assignments,
    parse_events,
    parse_recommendations,
    parse_single,
    read_json,
)
from recommender.contracts.requests import MAX_BODY_BYTES, PlacementRequest, RecommendationRequest, Rejection
from recommender.errors import InvalidInput, TooLarge

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
VIEW = {
    "event_id": "e1",
    "event_name": "view_item",
    "event_time": "2026-11-23T11:59:00Z",
    "items": [{"item_id": "SKU_1"}],
}


def body(**changes: Any) -> dict[str, Any]:
    """The request of the README."""
    return {
        "visitor_id": "v1",
        "session_id": "s1",
        "page": {"type": "product", "item_id": "SKU_1"},
        "context": {"cart_item_ids": ["SKU_2"], "device": "mobile", "consent": "full"},
        "events": [VIEW],
        "placements": [{"placement": "pdp_similar", "limit": 6}, {"placement": "pdp_bought_together"}],
        "options": {"explain": "reasons"},
        **changes,
    }


def test_a_full_body_is_read() -> None:
    request = parse_recommendations(body(), now=NOW).request

    assert request.page.item_id == "SKU_1"
    assert request.placements == (PlacementRequest("pdp_similar", 6), PlacementRequest("pdp_bought_together", None))
    assert request.context.cart_item_ids == ("SKU_2",)
    assert [event.session_id for event in request.events] == ["s1"]


def test_the_smallest_body_takes_every_default() -> None:
    command = parse_recommendations(
        {"visitor_id": "v", "session_id": "s", "page": {"type": "home"}, "placements": [{"placement": "home_hero"}]},
        now=NOW,
    )

    assert command.request.context.consent == "full"
    assert command.request.options.explain == "reasons"


def test_a_browser_that_asks_not_to_be_tracked_sets_the_default_of_consent() -> None:
    silent = body(context={})

    assert parse_recommendations(silent, now=NOW, consent="contextual").request.context.consent == "contextual"
    assert parse_recommendations(body(), now=NOW, consent="contextual").request.context.consent == "full"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"visitor_id": None}, "/visitor_id", "invalid_argument"),
        ({"vistor_id": "v"}, "/vistor_id", "unknown_field"),
        ({"page": {"type": "prodct"}}, "/page/type", "invalid_argument"),
        ({"page": {"type": "home", "itemid": "x"}}, "/page/itemid", "unknown_field"),
        ({"context": {"consent": "maybe"}}, "/context/consent", "invalid_argument"),
        ({"context": {"cart_item_ids": [3]}}, "/context/cart_item_ids/0", "invalid_argument"),
        ({"placements": []}, "/placements", "invalid_argument"),
        ({"placements": [{"placement": "home_hero"}] * 13}, "/placements", "too_many"),
        ({"placements": [{"placement": "home_hero", "limit": 0}]}, "/placements/0/limit", "invalid_argument"),
        ({"options": {"explain": "all"}}, "/options/explain", "invalid_argument"),
        ({"events": "none"}, "/events", "invalid_argument"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_recommendations(body(**changes), now=NOW)

    assert (refusal.value.problems[0].pointer, refusal.value.code) == (pointer, code)


def test_a_bad_inline_event_is_reported_and_the_page_is_still_served() -> None:
    command = parse_recommendations(body(events=[{**VIEW, "event_name": "look"}, VIEW]), now=NOW)

    assert len(command.request.events) == 1
    assert [(wrong.index, wrong.code) for wrong in command.rejected] == [(0, "unknown_event")]


def test_the_allowed_fields_are_those_of_the_type() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_recommendations(body(extra=1), now=NOW)

    for entry in fields(RecommendationRequest):
        assert entry.name in refusal.value.problems[0].expected


def test_a_query_is_a_request_for_one_placement_on_its_own_page() -> None:
    query = {"visitor_id": "v1", "item_id": "SKU_1", "limit": "3", "consent": "contextual"}

    request = parse_single("pdp_similar", "product", query).request

    assert (request.session_id, request.page.type, request.page.item_id) == ("v1", "product", "SKU_1")
    assert request.placements == (PlacementRequest("pdp_similar", 3),)
    assert request.context.consent == "contextual"


@pytest.mark.parametrize("limit", ["0", "49", "three", "-1", "1.5"])
def test_a_limit_outside_of_the_bounds_is_refused(limit: str) -> None:
    with pytest.raises(InvalidInput, match="/query/limit"):
        parse_single("pdp_similar", "product", {"visitor_id": "v1", "limit": limit})


def test_the_valid_rest_of_a_batch_is_kept_with_its_place() -> None:
    late = {**VIEW, "event_id": "e2", "event_time": "2026-11-24T12:00:01Z"}

    batch = parse_events({"visitor_id": "v1", "session_id": "s1", "events": [late, VIEW]}, now=NOW)

    assert [index for index, _ in batch.events] == [1]
    assert batch.rejected == (
        Rejection(
            0,
            "event_from_future",
            "/events/0/event_time",
            "'2026-11-24T12:00:01+00:00'",
            "not after 2026-11-24T12:00:00+00:00",
        ),
    )


def test_a_batch_of_which_nothing_can_be_read_is_refused_as_a_whole() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_events({"visitor_id": "v1", "session_id": "s1", "events": [{}, []]}, now=NOW)

    assert [wrong.pointer for wrong in refusal.value.problems] == ["/events/0/event_name", "/events/1"]


def test_a_hundred_and_one_events_are_too_many() -> None:
    with pytest.raises(TooLarge) as refusal:
        parse_events({"visitor_id": "v1", "session_id": "s1", "events": [VIEW] * 101}, now=NOW)

    assert (refusal.value.status, refusal.value.code) == (413, "too_many_events")
    assert "101" in refusal.value.detail


def test_foreign_keys_of_the_events_envelope_are_ignored() -> None:
    batch = parse_events({"client_id": "GA1.1", "visitor_id": "v1", "session_id": "s1", "events": [VIEW]}, now=NOW)

    assert len(batch.events) == 1


def test_an_assignment_may_name_placements_or_leave_them_to_the_registry() -> None:
    assert parse_assignments({"visitor_id": "v1"}).placements == ()
    assert parse_assignments({"visitor_id": "v1", "placements": ["home_hero"]}).placements == ("home_hero",)
    with pytest.raises(InvalidInput, match="/visitor_id"):
        parse_assignments({})


@pytest.mark.parametrize("text", ["", "{", '{"a": NaNN}', "[" * 100_000])
def test_what_is_not_json_is_named_as_such(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_json(text)

    assert refusal.value.code == "invalid_json"


def test_a_body_beyond_the_limit_is_not_parsed() -> None:
    with pytest.raises(TooLarge):
        read_json(" " * (MAX_BODY_BYTES + 1))


def test_a_near_name_is_offered_and_else_all_of_them() -> None:
    assert did_you_mean("pdp_simlar", ["home_hero", "pdp_similar"]) == "'pdp_simlar' — did you mean 'pdp_similar'?"
    assert did_you_mean("xyz", ["home_hero", "pdp_similar"]) == "'xyz' is not one of home_hero, pdp_similar"


def moments(entries: Sequence[Mapping[str, Any]], **envelope: str) -> list[tuple[str, datetime]]:
    """What a batch of /v1/events and the inline events of a page say alike: (event id, time)."""
    ids = {"visitor_id": "v1", "session_id": "s1"}
    batch = parse_events({**ids, **envelope, "events": list(entries)}, now=NOW)
    page = {"page": {"type": "home"}, "placements": [{"placement": "home_hero"}]}
    inline = parse_recommendations({**ids, **envelope, **page, "events": list(entries)}, now=NOW)
    assert inline.request.events == tuple(event for _, event in batch.events)
    assert inline.rejected == batch.rejected == ()
    return [(event.event_id, event.event_time) for _, event in batch.events]


def at(event_id: str, moment: datetime) -> dict[str, Any]:
    return {**VIEW, "event_id": event_id, "event_time": moment.isoformat()}


@pytest.mark.parametrize("ahead", [timedelta(seconds=61), timedelta(minutes=6), timedelta(hours=5), timedelta(days=1)])
def test_a_clock_that_runs_up_to_a_day_ahead_loses_nothing(ahead: timedelta) -> None:
    clicks = [at("e1", NOW + ahead - timedelta(seconds=20)), at("e2", NOW + ahead - timedelta(seconds=5))]

    told = moments(clicks, sent_at=(NOW + ahead).isoformat())
    untold = moments(clicks)

    assert told == [("e1", NOW - timedelta(seconds=20)), ("e2", NOW - timedelta(seconds=5))]
    assert untold == [("e1", NOW - timedelta(microseconds=1)), ("e2", NOW)]


@pytest.mark.parametrize("behind", [timedelta(minutes=-2), timedelta(days=-400), timedelta(days=10_000)])
def test_a_clock_that_says_when_it_sent_may_be_wrong_by_years(behind: timedelta) -> None:
    told = moments([at("e1", NOW + behind - timedelta(seconds=3))], sent_at=(NOW + behind).isoformat())

    assert told == [("e1", NOW - timedelta(seconds=3))]


def test_a_request_that_was_on_its_way_for_seconds_moves_no_event() -> None:
    happened = NOW - timedelta(seconds=50)

    assert moments([at("e1", happened)], sent_at=(NOW - timedelta(seconds=45)).isoformat()) == [("e1", happened)]


def test_events_of_the_future_keep_their_order_though_all_are_set_to_now() -> None:
    hours = {"e1": 3, "e2": 1, "e3": 2, "e4": -1, "e5": 3}

    mended = moments([at(name, NOW + timedelta(hours=n)) for name, n in hours.items()])

    assert [name for name, _ in sorted(mended, key=lambda entry: entry[1])] == ["e4", "e2", "e3", "e1", "e5"]
    assert max(moment for _, moment in mended) == NOW
    assert dict(mended)["e4"] == NOW - timedelta(hours=1)


@given(st.lists(st.integers(-100, 86_400), min_size=1, max_size=100))
def test_whatever_the_clock_says_nothing_is_after_now_and_no_order_changes(seconds: list[int]) -> None:
    mended = moments([at(f"{n}", NOW + timedelta(seconds=second)) for n, second in enumerate(seconds)])

    assert all(moment <= NOW for _, moment in mended)
    ahead = [n for n, second in enumerate(seconds) if second > 0]
    by_time = sorted(ahead, key=lambda n: mended[n][1])
    assert [seconds[n] for n in by_time] == sorted(seconds[n] for n in ahead)


@pytest.mark.parametrize(
    ("moment", "sent_at", "code"),
    [
        ("2026-11-24T12:00:01Z", None, "event_from_future"),
        ("2026-10-24T11:59:59Z", None, "event_too_old"),
        ("2026-11-23T12:00:00Z", "2026-10-23T12:00:00Z", "event_from_future"),
        ("2026-11-23T12:00:00Z", "2027-11-23T12:00:00Z", "event_too_old"),
        ("9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z", "event_from_future"),
    ],
)
def test_a_time_that_no_clock_explains_is_refused_alone(moment: str, sent_at: str | None, code: str) -> None:
    wrong = {**VIEW, "event_id": "e2", "event_time": moment}
    right = {**VIEW, "event_time": sent_at or NOW.isoformat()}
    body = {"visitor_id": "v1", "session_id": "s1", "sent_at": sent_at, "events": [wrong, right]}

    batch = parse_events(body, now=NOW)

    assert [(index, event.event_time) for index, event in batch.events] == [(1, NOW)]
    assert [(found.index, found.code) for found in batch.rejected] == [(0, code)]


@pytest.mark.parametrize("sent_at", ["now", 7, "2026-11-23T12:00:00"])
def test_a_time_of_sending_that_is_none_is_named(sent_at: object) -> None:
    with pytest.raises(InvalidInput, match="/sent_at"):
        parse_events({"visitor_id": "v1", "session_id": "s1", "sent_at": sent_at, "events": [VIEW]}, now=NOW)
