"""Orders with refunds, carts, impressions: what the marts derive."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.events import EventItem

from tests.warehouse.shop import Shop, deliver, deliver_items, event, order_line, rows_of
from warehouse.connect import Warehouse
from warehouse.day.day import run_day

TEA, JAM = EventItem("tea"), EventItem("jam")
LINES = "select item_id, quantity, price_cents from exports.purchases_v1 order by item_id"


@pytest.fixture
def shop(warehouse: Warehouse, tmp_path: Path) -> Shop:
    deliver_items(warehouse, "tea", "jam")
    return Shop(warehouse, tmp_path / "landing")


def run(shop: Shop, day: int) -> None:
    run_day(shop.warehouse.connection, date(2026, 1, day))


def statuses(shop: Shop) -> list[tuple[Any, ...]]:
    return rows_of(shop.warehouse, "select session_id, status from marts.carts order by session_id")


def test_a_purchase_event_is_an_order_until_the_order_system_delivers_it(shop: Shop) -> None:
    bought = event("e1", "purchase", "2026-01-02T10:00:00", EventItem("tea", 2, 150), JAM, transaction_id="o1")
    shop.land(bought, loaded_at="2026-01-02T11:00:00")
    run(shop, 2)

    # the unit price of the event, and the catalogue's where the event has none
    assert rows_of(shop.warehouse, LINES) == [("jam", 1, 200), ("tea", 2, 2 * 150)]

    delivered = [order_line("o1", "tea", "2026-01-02T10:00:00", quantity=2, price_cents=280)]
    deliver(shop.warehouse, "purchases", delivered, loaded_at="2026-01-03T02:00:00")
    run(shop, 3)

    assert rows_of(shop.warehouse, LINES) == [("tea", 2, 280)]


def test_a_refund_takes_its_share_off_and_a_refund_without_items_takes_all(shop: Shop) -> None:
    lines = [
        order_line("o1", "tea", "2026-01-02T10:00:00", quantity=4, price_cents=800),
        order_line("o2", "jam", "2026-01-02T10:00:00"),
    ]
    deliver(shop.warehouse, "purchases", lines, loaded_at="2026-01-03T02:00:00")
    run(shop, 3)

    back = event("e1", "refund", "2026-01-03T10:00:00", EventItem("tea", 1), transaction_id="o1")
    shop.land(back, event("e2", "refund", "2026-01-03T10:00:00", transaction_id="o2"), loaded_at="2026-01-04T03:00:00")
    run(shop, 4)

    assert rows_of(shop.warehouse, LINES) == [("tea", 4 - 1, 800 * 3 // 4)]


def test_a_derived_purchase_is_no_order(shop: Shop) -> None:
    shop.land(
        event("e1", "purchase", "2026-01-02T10:00:00", TEA, transaction_id="o1", derived=True),
        loaded_at="2026-01-02T11:00:00",
    )
    run(shop, 2)

    assert rows_of(shop.warehouse, LINES) == []


def test_a_cart_is_open_for_24_hours_and_then_abandoned(shop: Shop) -> None:
    shop.land(event("e1", "add_to_cart", "2026-01-02T10:00:00", TEA), loaded_at="2026-01-02T11:00:00")
    run(shop, 3)  # at the start of the day 14 hours have passed
    assert statuses(shop) == [("visit", "open")]

    run(shop, 4)
    assert statuses(shop) == [("visit", "abandoned")]

    run(shop, 3)  # an older day again: nothing is opened anew
    assert statuses(shop) == [("visit", "abandoned")]


def test_a_cart_from_which_all_was_taken_out_is_emptied_and_not_abandoned(shop: Shop) -> None:
    shop.land(
        event("e1", "add_to_cart", "2026-01-02T10:00:00", TEA, JAM),
        event("e2", "add_to_cart", "2026-01-02T10:00:00", TEA, JAM, session_id="other"),
        event("e3", "remove_from_cart", "2026-01-02T10:01:00", TEA, session_id="other"),
        loaded_at="2026-01-02T11:00:00",
    )
    run(shop, 4)
    counts = "select session_id, status, count_items from marts.carts order by session_id"
    assert rows_of(shop.warehouse, counts) == [("other", "abandoned", 1), ("visit", "abandoned", 2)]

    out = event("e4", "remove_from_cart", "2026-01-02T10:05:00", TEA, JAM)
    shop.land(out, loaded_at="2026-01-05T02:00:00")
    run(shop, 5)

    assert rows_of(shop.warehouse, counts) == [("other", "abandoned", 1), ("visit", "emptied", 0)]


def test_an_order_within_24_hours_answers_the_cart_even_when_it_arrives_late(shop: Shop) -> None:
    carts = [
        event("e1", "add_to_cart", "2026-01-02T10:00:00", TEA, session_id="bought"),
        event("e2", "add_to_cart", "2026-01-02T10:00:00", TEA, session_id="left", user_id="ben"),
    ]
    shop.land(*carts, loaded_at="2026-01-02T11:00:00")
    run(shop, 5)
    assert statuses(shop) == [("bought", "abandoned"), ("left", "abandoned")]

    orders = [
        order_line("o1", "jam", "2026-01-03T09:59:00", shopper_id="anna"),  # 23:59 after
        order_line("o2", "jam", "2026-01-03T10:01:00", shopper_id="ben"),  # 24:01 after
    ]
    deliver(shop.warehouse, "purchases", orders, loaded_at="2026-01-06T02:00:00")
    run(shop, 6)

    assert statuses(shop) == [("bought", "ordered"), ("left", "abandoned")]


def test_a_search_is_one_row_and_a_shown_list_is_none(shop: Shop) -> None:
    shop.land(
        event("e1", "search", "2026-01-02T10:00:00", search_term="green tea"),
        event("e2", "view_item_list", "2026-01-02T10:01:00", TEA, JAM, visible=True),
        event("e3", "view_item", "2026-01-02T10:02:00", TEA, user_id=None),
        event("e4", "view_item", "2026-01-02T10:03:00", EventItem("unknown")),
        loaded_at="2026-01-02T11:00:00",
    )
    run(shop, 2)

    query = "select event_id, shopper_id, item_id, search_term from exports.session_events_v1 order by event_id"
    assert rows_of(shop.warehouse, query) == [("e1", "anna", None, "green tea"), ("e3", "browser", "tea", None)]


def test_an_impression_has_its_tokens_claims_and_knows_its_click(shop: Shop) -> None:
    claims = {
        "recommendation_id": "r1",
        "placement": "home_hero",
        "experiment": "exp",
        "epoch": 3,
        "variant": "hybrid",
        "propensity": 0.25,
    }
    listed = event(
        "e1",
        "view_item_list",
        "2026-01-02T10:00:00",
        EventItem("tea", index=0),
        EventItem("jam", index=1),
        visible=True,
    )
    unseen = event("e2", "view_item_list", "2026-01-02T10:00:00", TEA, session_id="other")
    shop.land(listed, loaded_at="2026-01-02T11:00:00", claims=claims)
    shop.land(unseen, loaded_at="2026-01-02T11:30:00", claims={**claims, "recommendation_id": "r2"})
    shop.land(event("e3", "view_item_list", "2026-01-02T10:00:00", TEA, visible=True), loaded_at="2026-01-02T11:40:00")
    run(shop, 2)
    shop.land(event("e4", "select_item", "2026-01-02T10:05:00", JAM), loaded_at="2026-01-03T04:00:00", claims=claims)
    run(shop, 3)

    query = """
        select recommendation_id, placement, epoch, variant, propensity, item_id, index, clicked
        from exports.impressions_v1
        order by index
    """
    shared = ("r1", "home_hero", 3, "hybrid", 0.25)
    assert rows_of(shop.warehouse, query) == [(*shared, "tea", 0, False), (*shared, "jam", 1, True)]


def test_what_comes_a_month_after_a_list_is_nothing_of_it(shop: Shop) -> None:
    claims = {"recommendation_id": "r1", "placement": "home_hero"}
    seen = event("e1", "view_item_list", "2026-01-02T10:00:00", TEA, visible=True)
    shop.land(seen, loaded_at="2026-01-02T11:00:00", claims=claims)
    run(shop, 2)

    again = event("e2", "view_item_list", "2026-02-11T10:00:00", TEA, visible=True)  # an old tab, 40 days later
    chosen = event("e3", "select_item", "2026-02-11T10:01:00", TEA)
    shop.land(again, chosen, loaded_at="2026-02-11T11:00:00", claims=claims)
    shop.land(event("e4", "add_to_cart", "2026-02-11T10:02:00", TEA), loaded_at="2026-02-11T11:30:00")
    run_day(shop.warehouse.connection, date(2026, 2, 11))

    found = rows_of(shop.warehouse, "select shown_at, clicked, carted from marts.impressions")
    assert found == [(datetime(2026, 1, 2, 10), False, False)]


def test_a_margin_follows_from_the_cost_or_else_from_the_rule(shop: Shop) -> None:
    rows = [
        {
            "item_id": "a",
            "title": "A",
            "category": "DELI > HAM",
            "price_cents": 400,
            "cost_cents": 300,
            "brand": "Private",
        },
        {"item_id": "b", "title": "B", "category": "DELI > HAM", "price_cents": 400, "brand": "Private"},
        {"item_id": "c", "title": "C", "category": "DELI > HAM", "price_cents": 400, "brand": "National"},
    ]
    deliver(shop.warehouse, "items", rows, loaded_at="2026-01-02T02:00:00")
    run(shop, 2)

    query = "select item_id, margin_share, margin_derived from marts.items where price_cents = 400 order by item_id"
    found = {item: (share, derived) for item, share, derived in rows_of(shop.warehouse, query)}
    assert found == {
        "a": (pytest.approx((400 - 300) / 400), False),
        "b": (pytest.approx(0.42 + 0.08), True),
        "c": (pytest.approx(0.42), True),
    }
