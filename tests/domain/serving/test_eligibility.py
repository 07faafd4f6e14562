"""The hard gate: what may not be shown, whatever its score."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from recommender.contracts.events import Event, EventItem
from recommender.contracts.placements import Placement
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.eligibility import Gate, current_stock, gate
from recommender.domain.serving.visit import ANONYMOUS, PurchaseHistory, Session, Shopper

from tests.tiny_bundle import tiny_bundle

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BUNDLE = tiny_bundle()
PLAIN = Placement("plain", "Plain", "home", 4, "click")
ROWS = np.arange(6, dtype=np.int32)  # item-00-00 … item-00-05 at 100, 150, … 350 cents


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(f"item-00-{n:02d}" for n in numbers)


def rules(
    *, shopper: Shopper = ANONYMOUS, events: tuple[Event, ...] = (), overrides: Any = None, **context: Any
) -> Gate:
    stock = current_stock(BUNDLE, overrides or {})
    return gate(BUNDLE, stock, shopper, Session("s", events), PageContext("home", NOW, **context))


def event(name: str, number: int) -> Event:
    return Event(f"{name}-{number}", name, NOW, "v", "s", items=(EventItem(ids(number)[0]),))


def allowed(found: Gate, **changes: Any) -> list[int]:
    placement = replace(PLAIN, **changes)
    return [int(row) for row in ROWS[found.view(ROWS).allowed(placement)]]


def test_without_any_reason_against_it_everything_is_allowed() -> None:
    assert allowed(rules()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "is_shown"),
    [
        ({"availability": "out_of_stock"}, False),
        ({"availability": "discontinued"}, False),
        ({"availability": "backorder"}, True),
        ({"deleted": True}, False),
        ({"deleted": True, "availability": "in_stock"}, False),
        ({"price_cents": 1}, True),
    ],
)
def test_an_override_speaks_louder_than_the_bundle(change: dict[str, Any], is_shown: bool) -> None:
    found = rules(overrides={"item-00-02": change, "unknown": {"deleted": True}})

    assert (2 in allowed(found)) == is_shown


def test_what_the_bundle_holds_as_sold_out_comes_back_with_new_stock() -> None:
    items = replace(BUNDLE.items, in_stock=np.zeros(BUNDLE.count_items, bool))

    stock = current_stock(replace(BUNDLE, items=items), {"item-00-03": {"availability": "in_stock"}})

    assert np.flatnonzero(stock.is_available).tolist() == [3]
    assert not items.in_stock.any()  # the bundle itself is never changed


def test_the_page_s_own_item_and_both_carts_are_left_out() -> None:
    found = rules(item_id="item-00-00", cart_item_ids=ids(1), events=(event("add_to_cart", 2),))

    assert allowed(found) == [3, 4, 5]


def test_what_was_bought_is_left_out_only_where_the_placement_asks_for_it() -> None:
    shopper = Shopper("u", PurchaseHistory(ids(0, 1), (1, 1), (1.0, 1.0), (1.0, 1.0), 1))
    found = rules(shopper=shopper, events=(event("purchase", 2),))

    assert allowed(found) == [0, 1, 2, 3, 4, 5]
    assert allowed(found, exclude_owned=True) == [3, 4, 5]


def test_what_was_seen_is_left_out_only_where_the_placement_asks_for_it() -> None:
    found = rules(events=(event("view_item", 0), event("select_item", 1)))

    assert allowed(found) == [0, 1, 2, 3, 4, 5]
    assert allowed(found, exclude_seen=True) == [2, 3, 4, 5]


def test_an_add_on_costs_at_most_as_much_as_its_anchor() -> None:
    assert allowed(rules(item_id="item-00-02"), price_at_most_anchor=True) == [0, 1]
    assert allowed(rules(cart_item_ids=ids(1, 3)), price_at_most_anchor=True) == [0, 2]
    assert allowed(rules(), price_at_most_anchor=True) == [0, 1, 2, 3, 4, 5]


def test_the_price_of_now_decides() -> None:
    found = rules(item_id="item-00-02", overrides={"item-00-04": {"price_cents": 200}})

    assert allowed(found, price_at_most_anchor=True) == [0, 1, 4]
