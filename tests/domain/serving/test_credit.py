"""Credit: each reward of a shown list once, each order once, and what does not count says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.event_kinds import CLICK, EXPOSURE, ORDER, REFUND
from recommender.contracts.events import Event, EventItem
from recommender.domain.serving.attribution import Claims
from recommender.domain.serving.credit import MAX_DIGESTS, MAX_LISTS, POSITIONS, Credit, Credits, digest
from recommender.errors import InvalidInput

LISTED = ("a", "b", "c")
NOTHING = Credit()


def claims(recommendation: str = "r1", items: tuple[str, ...] = LISTED) -> Claims:
    return Claims(recommendation, "home_hero", "exp", 1, 1, "hybrid", 0.5, items, 1_790_000_000, "s")


def event(name: str, *items: str, **fields: Any) -> Event:
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    return Event("e", name, moment, "v", "s", items=tuple(map(EventItem, items)), visible=True, **fields)


def fresh() -> Credits:
    return Credits({}, set())


def test_a_list_in_view_is_one_exposure_however_it_is_cut() -> None:
    memory = fresh()

    assert memory.credit_list(event("view_item_list", "a", "b"), claims(), "/e").rewards == (EXPOSURE,)
    assert memory.credit_list(event("view_item_list", "c"), claims(), "/e").rewards == ()  # new items, counted already
    with pytest.raises(InvalidInput) as refused:
        memory.credit_list(event("view_item_list", "b"), claims(), "/e")
    assert refused.value.code == "replayed_token"


def test_who_clicks_has_seen() -> None:
    memory = fresh()

    assert memory.credit_list(event("select_item", "b"), claims(), "/e").rewards == (EXPOSURE, CLICK)
    assert memory.credit_list(event("view_item_list", "a"), claims(), "/e").rewards == ()
    assert memory.credit_list(event("select_item", "a"), claims(), "/e").rewards == ()  # one click a list


def test_another_list_has_rewards_of_its_own() -> None:
    memory = fresh()
    memory.credit_list(event("select_item", "b"), claims("r1"), "/e")

    assert memory.credit_list(event("select_item", "b"), claims("r2"), "/e").rewards == (EXPOSURE, CLICK)


def test_without_a_token_out_of_view_or_without_an_item_nothing_counts() -> None:
    unseen = Event("e", "view_item_list", datetime(2026, 11, 23, tzinfo=UTC), "v", "s", items=(EventItem("a"),))

    assert fresh().credit_list(event("select_item", "a"), None, "/e") == NOTHING
    assert fresh().credit_list(unseen, claims(), "/e") == NOTHING
    assert fresh().credit_list(event("select_item"), claims(), "/e") == NOTHING


def test_an_item_of_another_list_is_refused_and_beside_one_of_this_list_adds_nothing() -> None:
    memory = fresh()
    with pytest.raises(InvalidInput) as refused:
        memory.credit_list(event("select_item", "z"), claims(), "/events/3")

    assert refused.value.code == "not_in_list"
    assert refused.value.problems[0].pointer == "/events/3/items"
    assert memory.credit_list(event("select_item", "z", "a"), claims(), "/e").rewards == (EXPOSURE, CLICK)
    assert memory.lists == {digest("r1", "home_hero"): next(iter(memory.lists.values()))}


def test_a_full_memory_is_told_and_known_lists_go_on() -> None:
    memory = Credits({digest(f"r{n}", "home_hero"): 1 for n in range(MAX_LISTS)}, set())

    assert memory.credit_list(event("select_item", "a"), claims("new"), "/e") == Credit(is_full=True)
    assert memory.credit_list(event("select_item", "a"), claims("r5"), "/e").rewards == (CLICK,)


def test_an_order_counts_once_by_its_transaction_and_without_one_by_its_event() -> None:
    memory = fresh()

    assert memory.credit_trade(event("purchase", "a", transaction_id="t1")).rewards == (ORDER,)
    assert memory.credit_trade(event("purchase", "b", transaction_id="t1")) == NOTHING
    assert memory.credit_trade(event("purchase", "a")).rewards == (ORDER,)
    assert memory.credit_trade(event("purchase", "a")) == NOTHING


def test_a_refund_counts_once_for_its_items_whatever_their_order() -> None:
    memory = fresh()

    assert memory.credit_trade(event("refund", "a", "b", transaction_id="t1")).rewards == (REFUND,)
    assert memory.credit_trade(event("refund", "b", "a", transaction_id="t1")) == NOTHING
    assert memory.credit_trade(event("refund", "a", transaction_id="t1")).rewards == (REFUND,)


def test_other_events_are_no_trade_and_a_full_memory_of_orders_is_told() -> None:
    full = Credits({}, {digest("order", str(n)) for n in range(MAX_DIGESTS)})

    assert fresh().credit_trade(event("view_item", "a")) == NOTHING
    assert full.credit_trade(event("purchase", "a", transaction_id="t")) == Credit(is_full=True)


@given(st.lists(st.tuples(st.sampled_from(["view_item_list", "select_item"]), st.integers(0, 99)), max_size=40))
def test_whatever_is_reported_of_a_list_it_has_one_exposure_and_one_click(reported: list[tuple[str, int]]) -> None:
    long = claims(items=tuple(f"i{n}" for n in range(POSITIONS + 36)))
    memory = fresh()
    rewards: list[str] = []
    for name, place in reported:
        try:
            rewards += memory.credit_list(event(name, f"i{place}"), long, "/e").rewards
        except InvalidInput as error:
            assert error.code == "replayed_token"

    assert rewards.count(EXPOSURE) == min(1, len(reported))
    assert rewards.count(CLICK) == min(1, sum(name == "select_item" for name, _ in reported))
