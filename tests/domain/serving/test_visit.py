"""A visit as a fold: looking at lists changes nothing, the newest wishes stay whole, older ones stay known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.event_kinds import EVENT_NAMES
from recommender.contracts.events import Event, EventItem
from recommender.domain.models.posterior import STRENGTHS
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.eligibility import current_stock, gate
from recommender.domain.serving.ranking import rank
from recommender.domain.serving.visit import ANONYMOUS, EFFECTS, FOLDED_ITEMS, MAX_EVENTS, Session

from tests.tiny_bundle import tiny_bundle

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NO_EFFECT = sorted(set(EVENT_NAMES) - set(EFFECTS))


def event(number: int, name: str, *item_ids: str, **fields: Any) -> Event:
    """An event `number` seconds into the visit."""
    moment = NOW + timedelta(seconds=number)
    return Event(f"e{number}", name, moment, "v1", "s1", items=tuple(map(EventItem, item_ids)), **fields)


def impressions(count: int, *, start: int = 100) -> list[Event]:
    return [event(start + n, "view_item_list", f"item-00-{n % 9:02}", visible=True) for n in range(count)]


VISIT = Session("s1").after(
    event(1, "view_item", "item-01-01"),
    event(2, "add_to_cart", "item-02-03"),
    event(3, "purchase", "item-03-03"),
)


def test_a_visit_is_never_forgotten_by_looking_at_lists() -> None:
    bundle, home = tiny_bundle(), PageContext("home", NOW)
    after = VISIT.after(*impressions(500))

    ranked_before, ranked_after = (rank(bundle, ANONYMOUS, visit, home) for visit in (VISIT, after))
    stock = current_stock(bundle, {})
    excluded_before, excluded_after = (gate(bundle, stock, ANONYMOUS, visit, home) for visit in (VISIT, after))

    assert (ranked_after.level, ranked_after.evidence) == ("session", ranked_before.evidence)
    assert ranked_after.evidence > 0
    assert excluded_after.flags.tolist() == excluded_before.flags.tolist()
    assert (after.viewed, after.cart, after.bought) == (VISIT.viewed, ("item-02-03",), ("item-03-03",))
    assert after.impressions == 500


@pytest.mark.parametrize("name", NO_EFFECT)
def test_no_other_event_without_an_effect_pushes_the_wishes_out(name: str) -> None:
    after = VISIT.after(*(event(100 + n, name, "item-00-01") for n in range(200)))

    assert (after.events, after.cart, after.bought) == (VISIT.events, VISIT.cart, VISIT.bought)


def test_what_has_an_effect_is_what_the_preference_learns_from() -> None:
    assert EFFECTS.keys() == STRENGTHS.keys()


def test_of_a_long_visit_the_newest_wishes_are_kept_whole() -> None:
    visit = Session("s1")
    for number in range(MAX_EVENTS + 5):
        visit = visit.after(event(number, "view_item", f"item {number}"))

    assert [kept.event_id for kept in visit.events] == [f"e{number}" for number in range(5, MAX_EVENTS + 5)]


def test_cart_purchases_and_views_outlive_the_events_that_made_them() -> None:
    visit = VISIT.after(*(event(100 + n, "view_item", f"other {n % 3}") for n in range(3 * MAX_EVENTS)))

    assert (visit.cart, visit.bought) == (("item-02-03",), ("item-03-03",))
    assert visit.viewed[:3] == ("item-01-01", "item-02-03", "item-03-03")
    assert all(kept.event_name == "view_item" for kept in visit.events)


def test_an_item_in_the_cart_for_long_leaves_it_by_a_purchase_or_a_removal() -> None:
    full = Session("s1").after(*(event(n, "add_to_cart", f"item {n}") for n in range(2 * MAX_EVENTS)))

    assert full.cart == tuple(f"item {n}" for n in range(2 * MAX_EVENTS))
    emptied = full.after(event(200, "purchase", "item 0"), event(201, "remove_from_cart", "item 1"))
    assert emptied.cart == full.cart[2:]
    much_later = emptied.after(*(event(300 + n, "view_item", "x") for n in range(2 * MAX_EVENTS)))
    assert (much_later.cart, much_later.bought) == (full.cart[2:], ("item 0",))


def test_a_removal_outlives_its_event_where_the_adding_is_sent_again() -> None:
    added = event(1, "add_to_cart", "A")
    visit = Session("s1").after(added, event(2, "remove_from_cart", "A"))
    visit = visit.after(*(event(100 + n, "view_item", "x") for n in range(2 * MAX_EVENTS)))

    assert visit.after(added).cart == ()


def test_the_newest_search_is_known_however_many_events_follow() -> None:
    visit = Session("s1").after(
        event(2, "search", search_term="tea"), event(1, "search", search_term="jam"), *impressions(200)
    )

    assert visit.search_term == "tea"


def test_what_is_folded_is_bounded_and_keeps_the_newest() -> None:
    visit = Session("s1").after(*(event(n, "add_to_cart", f"item {n}") for n in range(1_000)))

    kept_whole, folded = MAX_EVENTS, FOLDED_ITEMS
    assert visit.cart == tuple(f"item {n}" for n in range(1_000 - kept_whole - folded, 1_000))


def test_events_with_long_ids_leave_the_window_sooner() -> None:
    heavy = [event(n, "view_item", *(f"{n:03}{m:03}" + "x" * 120 for m in range(100))) for n in range(3)]

    assert [kept.event_id for kept in Session("s1").after(*heavy).events] == ["e2"]


moves = st.lists(
    st.tuples(st.sampled_from(("view_item", "add_to_cart", "remove_from_cart", "purchase")), st.sampled_from("ABCDE")),
    max_size=150,
)


@given(moves, st.integers(1, 40))
def test_however_a_visit_is_cut_into_batches_its_state_is_that_of_all_its_events(
    visit: list[tuple[str, str]], size: int
) -> None:
    events = [event(n, name, item_id) for n, (name, item_id) in enumerate(visit)]
    session = Session("s1")
    for start in range(0, len(events), size):
        session = session.after(*events[start : start + size], *impressions(7, start=10_000 * (start + 1)))

    cart: dict[str, None] = {}
    for name, item_id in visit:
        if name == "add_to_cart":
            cart[item_id] = None
        elif name in ("remove_from_cart", "purchase"):
            cart.pop(item_id, None)
    assert set(session.cart) == set(cart)
    assert set(session.bought) == {item_id for name, item_id in visit if name == "purchase"}
    assert set(session.viewed) == {item_id for name, item_id in visit if name != "remove_from_cart"}
