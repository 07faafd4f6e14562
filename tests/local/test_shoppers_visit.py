"""A visit call by call, in a shop that answers without a network."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from recommender.contracts.api import parse_events, parse_recommendations
from recommender.contracts.placements import DEFAULT

from local.shoppers.clicks import Blind, Clicking
from local.shoppers.visit import EVENTS, RECOMMENDATIONS, Call, Visited, visit
from tests.local.shops import SHOP, answer, crowd

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def walk(number: int, clicking: Clicking) -> tuple[list[Call], Visited]:
    shopper, rng = crowd().shopper(number)
    calls, made = visit(shopper, SHOP, clicking, rng=rng, clock=lambda: NOW), []
    reply: Any = None
    try:
        while True:
            path, body = calls.send(reply)
            made.append((path, json.loads(json.dumps(body))))
            reply = answer(body) if path == RECOMMENDATIONS else {}
    except StopIteration as end:
        return made, end.value


def test_every_call_is_one_that_the_api_takes() -> None:
    for number in range(20):
        calls, _ = walk(number, Blind(0.5))
        for path, body in calls:
            parsed = parse_recommendations(body, now=NOW) if path == RECOMMENDATIONS else parse_events(body, now=NOW)
            assert parsed.rejected == ()


def test_all_pages_are_visited_and_all_placements_are_asked_for() -> None:
    pages, placements = Counter[str](), Counter[str]()
    for number in range(60):
        for path, body in walk(number, Blind(0.2))[0]:
            if path == RECOMMENDATIONS:
                pages[body["page"]["type"]] += 1
                placements.update(entry["placement"] for entry in body["placements"])

    assert pages["home"] == 60
    assert set(placements) == {placement.placement_id for placement in DEFAULT}
    assert min(placements.values()) > 5


def test_every_list_in_view_is_an_exposure_with_its_token_and_every_click_follows_its_exposure() -> None:
    calls, visited = walk(3, Blind(1.0))
    path, body = calls[-1]
    shown = [event for event in body["events"] if event["event_name"] == "view_item_list"]
    clicked = [event for event in body["events"] if event["event_name"] == "select_item"]

    assert path == EVENTS
    assert all(
        event["visible"] and event["attribution_token"] == f"token of {event['item_list_id']}" for event in shown
    )
    assert [event["item_list_id"] for event in clicked] == [event["item_list_id"] for event in shown]
    assert (visited.exposures.total(), visited.clicks.total()) == (len(shown), len(clicked))
    assert len({event["event_id"] for event in body["events"]}) == len(body["events"])


def test_what_was_viewed_and_put_into_the_cart_travels_with_the_next_page() -> None:
    calls = next(calls for number in range(50) if (calls := walk(number, Blind(0.0))[0]) and _ends_with_order(calls))
    order = next(body for path, body in calls if path == RECOMMENDATIONS and body["page"]["type"] == "order")
    names = [event["event_name"] for event in order["events"]]

    assert names.index("view_item") < names.index("add_to_cart") < names.index("view_cart") < names.index("purchase")
    assert all("attribution_token" not in event for event in order["events"])


def test_without_a_click_the_visit_goes_to_what_it_is_for() -> None:
    calls, visited = walk(4, Blind(0.0))
    opened = next(body for path, body in calls if path == RECOMMENDATIONS and body["page"]["type"] == "product")

    assert visited.clicks.total() == 0
    assert opened["page"]["item_id"] in SHOP.bought[crowd().shopper(4)[0].intent]


def test_the_same_seed_makes_the_same_visit() -> None:
    first, again = walk(8, Blind(0.3)), walk(8, Blind(0.3))

    assert first[0] == again[0]
    assert (first[1].exposures, first[1].clicks) == (again[1].exposures, again[1].clicks)


def test_times_are_those_of_the_clock() -> None:
    _, body = walk(1, Blind(0.1))[0][-1]

    assert {event["event_time"] for event in body["events"]} == {NOW.isoformat()}


def _ends_with_order(calls: list[Call]) -> bool:
    return any(path == RECOMMENDATIONS and body["page"]["type"] == "order" for path, body in calls)
