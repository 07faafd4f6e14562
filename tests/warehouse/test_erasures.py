"""A shopper who asks to be forgotten is forgotten in every table, and stays so when old rows arrive late."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.events import Event, EventItem
from recommender.errors import InvalidInput

from tests.warehouse.shop import Shop, at, deliver, deliver_items, event, order_line, rebuilt, rows_of
from warehouse.__main__ import main
from warehouse.connect import Warehouse, open_local
from warehouse.day.day import run_day
from warehouse.day.erasures import erase_now, request_erasure
from warehouse.export.parts import fingerprints

TEA, JAM = EventItem("tea"), EventItem("jam")
CLAIMS = {"recommendation_id": "r1", "placement": "home", "propensity": 0.5}


def seen(event_id: str, name: str, when: str, *items: EventItem, who: str | None, browser: str, **more: Any) -> Event:
    return event(event_id, name, when, *items, user_id=who, visitor_id=browser, session_id=f"of {browser}", **more)


@pytest.fixture
def shop(warehouse: Warehouse, tmp_path: Path) -> Shop:
    """Anna on her phone, signed in and not; Ben at home; both order tea."""
    shop = Shop(warehouse, tmp_path / "landing")
    deliver_items(warehouse, "tea", "jam")
    deliver(warehouse, "shoppers", [{"shopper_id": "anna", "attributes": "{}"}], loaded_at="2026-01-02T02:00:00")
    reviews = [
        {"review_id": who, "item_id": "tea", "shopper_id": who, "rating": 5, "reviewed_at": at("2026-01-01T09:00:00")}
        for who in ("anna", "ben")
    ]
    deliver(warehouse, "reviews", reviews, loaded_at="2026-01-02T02:00:00")
    orders = [order_line(f"o-{who}", "tea", "2026-01-01T12:00:00", shopper_id=who) for who in ("anna", "ben")]
    deliver(
        warehouse,
        "purchases",
        [*orders, order_line("o-2", "jam", "2026-01-01T12:00:00")],
        loaded_at="2026-01-02T02:00:00",
    )
    rejected = "'orders.csv', 7, 'quantity is -1', 'o-3,tea,anna,-1', '2026-01-02T02:00:00'"
    rows_of(warehouse, f"insert into raw.rejects select {rejected}")
    listed = seen("e2", "view_item_list", "2026-01-01T10:01:00", TEA, who=None, browser="phone", visible=True)
    shop.land(listed, loaded_at="2026-01-02T03:00:00", claims=CLAIMS)
    shop.land(
        seen("e1", "search", "2026-01-01T10:00:00", who=None, browser="phone", search_term="green tea"),
        seen("e3", "add_to_cart", "2026-01-01T10:02:00", JAM, who="anna", browser="phone"),
        seen("e4", "add_to_cart", "2026-01-01T10:02:00", TEA, who="ben", browser="home"),
        loaded_at="2026-01-02T03:00:00",
    )
    run_day(warehouse.connection, date(2026, 1, 2))
    return shop


def ask(shop: Shop, shopper_id: str, loaded_at: str) -> None:
    request_erasure(shop.warehouse.connection, [shopper_id], now=at(loaded_at))


def traces(warehouse: Warehouse, *words: str) -> list[str]:
    """Tables in which any column still has one of the words."""
    tables = rows_of(
        warehouse,
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema in ('RAW', 'STAGING', 'MARTS', 'EXPORTS', 'OPS', 'QUALITY')",
    )
    return [
        table
        for (table,) in tables
        if any(word in repr(rows_of(warehouse, f"select * from {table}")) for word in words)
    ]


def test_every_trace_goes_the_others_stay_and_the_tables_are_what_they_are_without_the_shopper(shop: Shop) -> None:
    assert len(traces(shop.warehouse, "anna", "phone")) > 10
    ask(shop, "anna", "2026-01-03T01:00:00")

    run = run_day(shop.warehouse.connection, date(2026, 1, 3))

    assert traces(shop.warehouse, "anna", "phone") == []
    assert {
        table: run.erased[table]
        for table in ("raw.events", "raw.purchases", "raw.rejects", "raw.reviews", "raw.shoppers")
    } == {
        "raw.events": 3,
        "raw.purchases": 2,
        "raw.rejects": 1,
        "raw.reviews": 1,
        "raw.shoppers": 1,
    }
    assert rows_of(shop.warehouse, "select shopper_id, item_id from exports.purchases_v1") == [("ben", "tea")]
    assert rows_of(shop.warehouse, "select event_id from exports.session_events_v1") == [("e4",)]
    assert rows_of(shop.warehouse, "select count(*) from exports.impressions_v1") == [(0,)]
    forgotten = fingerprints(shop.warehouse.connection)
    assert rebuilt(shop.warehouse, date(2026, 1, 3)) == forgotten


def test_what_happened_before_the_request_is_dropped_when_it_arrives_late_and_what_comes_after_is_not(
    shop: Shop,
) -> None:
    ask(shop, "anna", "2026-01-03T01:00:00")
    run_day(shop.warehouse.connection, date(2026, 1, 3))

    shop.land(
        seen("late 1", "view_item", "2026-01-02T20:00:00", TEA, who="anna", browser="phone"),
        seen("late 2", "view_item", "2026-01-02T20:00:00", TEA, who=None, browser="phone"),
        seen("late 3", "view_item", "2026-01-02T20:01:00", TEA, who="anna", browser="tablet"),
        seen("late 4", "view_item", "2026-01-02T20:00:00", TEA, who=None, browser="tablet"),
        seen("new", "view_item", "2026-01-03T20:00:00", TEA, who=None, browser="phone"),
        loaded_at="2026-01-04T03:00:00",
    )
    late_order = order_line("o-9", "tea", "2026-01-02T12:00:00", shopper_id="anna")
    deliver(shop.warehouse, "purchases", [late_order], loaded_at="2026-01-04T02:00:00")
    run = run_day(shop.warehouse.connection, date(2026, 1, 4))

    assert dict(run.erased) == {"raw.events": 4, "raw.purchases": 1}
    assert rows_of(shop.warehouse, "select event_id from marts.session_events order by 1") == [("e4",), ("new",)]
    assert traces(shop.warehouse, "anna", "tablet") == []


def test_the_command_erases_at_once_and_prints_counts_but_no_id(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "requests.txt"
    listed.write_text("nobody\r\n\r\n anna \n")
    with open_local(database) as warehouse:
        deliver(
            warehouse, "purchases", [order_line("o1", "tea", "2026-01-01T12:00:00")], loaded_at="2026-01-02T02:00:00"
        )

    assert main(["erase", "--database", str(database), "--shopper", "anna", "--file", str(listed)]) == 0

    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"requests": 2, "deleted": {"raw.purchases": 1}}
    assert "anna" not in printed.out + printed.err
    with open_local(database) as warehouse:
        assert traces(warehouse, "anna") == []
        assert erase_now(warehouse.connection, now=at("2026-01-05T00:00:00")) == {}
        with pytest.raises(InvalidInput, match="not blank"):
            request_erasure(warehouse.connection, [" "], now=at("2026-01-05T00:00:00"))
