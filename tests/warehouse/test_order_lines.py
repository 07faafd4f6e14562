"""Every line of an order counts once: lines of one item are kept apart, orders that are reported again are not."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.events import EventItem

from tests.warehouse.shop import Shop, deliver, deliver_items, event, fingerprints, order_line, rows_of
from warehouse.connect import Warehouse
from warehouse.day.day import run_day
from warehouse.engine.schema import create_layers
from warehouse.load.delivery import Delivery, load_delivery

HEAD = "order_id,item_id,shopper_id,purchased_at,quantity,unit_price"
LINES = "select item_id, quantity, price_cents from marts.order_lines order by order_id, item_id"
FIRST, SECOND, THIRD = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)


def load(warehouse: Warehouse, folder: Path, day: date, *lines: str, head: str = HEAD, **stated: Any) -> None:
    """Load a file of order lines on that day, and run the day."""
    path = folder / f"orders-{day}-{len(list(folder.iterdir()))}.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    load_delivery(warehouse.connection, Delivery("purchases", path, datetime(day.year, day.month, day.day, 2), stated))
    run_day(warehouse.connection, day)


def line(item: str, quantity: int, price: str = "2.00", *more: str) -> str:
    return ",".join(["o", item, "s", "2026-03-01", str(quantity), price, *more])


@pytest.fixture
def stocked(warehouse: Warehouse) -> Warehouse:
    deliver_items(warehouse, "tea", "jam")
    return warehouse


def test_two_lines_of_one_item_in_one_order_are_both_kept_and_summed(stocked: Warehouse, tmp_path: Path) -> None:
    load(stocked, tmp_path, FIRST, line("tea", 2), line("jam", 1), line("tea", 3, "1.50"), line("tea", 3, "1.50"))

    assert rows_of(stocked, "select count(*) from staging.stg_purchases") == [(4,)]
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 2 + 3 + 3, 2 * 200 + 6 * 150)]


def test_lines_in_different_pieces_of_a_file_are_told_apart(stocked: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("\n".join([HEAD, *[line("tea", 1)] * 5]))
    load_delivery(stocked.connection, Delivery("purchases", path, datetime(2026, 3, 2, 2), rows_at_once=2))
    run_day(stocked.connection, FIRST)

    assert rows_of(stocked, LINES) == [("tea", 5, 1000)]


def test_a_day_that_is_run_again_and_rows_that_are_delivered_again_change_nothing(
    stocked: Warehouse, tmp_path: Path
) -> None:
    lines = [line("tea", 2), line("tea", 3), line("jam", 1)]
    load(stocked, tmp_path, FIRST, *lines)
    run_day(stocked.connection, FIRST)
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 5, 1000)]

    load(stocked, tmp_path, SECOND, *reversed(lines), "p,tea,s,2026-03-01,1,2.00")
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 5, 1000), ("tea", 1, 200)]

    after = fingerprints(stocked.connection)
    run_day(stocked.connection, FIRST)
    run_day(stocked.connection, SECOND)
    assert fingerprints(stocked.connection) == after


def test_the_newest_delivery_of_an_item_of_an_order_says_all_of_its_lines(stocked: Warehouse, tmp_path: Path) -> None:
    load(stocked, tmp_path, FIRST, line("tea", 2), line("tea", 3), line("jam", 1))
    load(stocked, tmp_path, SECOND, line("tea", 4))  # put together by the order system
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 4, 800)]

    run_day(stocked.connection, FIRST)  # the older delivery does not come back
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 4, 800)]


def test_a_line_id_of_the_order_system_keeps_lines_that_come_on_different_days(
    stocked: Warehouse, tmp_path: Path
) -> None:
    head, stated = f"{HEAD},Pos", {"columns": {"order_line_id": "Pos"}}
    load(stocked, tmp_path, FIRST, line("tea", 2, "2.00", "10"), head=head, **stated)
    load(stocked, tmp_path, SECOND, line("tea", 3, "2.00", "20"), head=head, **stated)
    assert rows_of(stocked, LINES) == [("tea", 5, 1000)]

    load(stocked, tmp_path, THIRD, line("jam", 1, "2.00", "10"), head=head, **stated)  # line 10 is of jam after all
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 3, 600)]


def test_lines_that_get_ids_later_replace_those_without(stocked: Warehouse, tmp_path: Path) -> None:
    load(stocked, tmp_path, FIRST, line("tea", 2), line("tea", 3))
    ids = f"{HEAD},order_line_id"
    load(stocked, tmp_path, SECOND, line("tea", 2, "2.00", "a"), line("tea", 3, "2.00", "b"), head=ids)

    assert rows_of(stocked, LINES) == [("tea", 5, 1000)]


def test_rows_that_a_program_appends_are_lines_of_their_own_too(stocked: Warehouse) -> None:
    twice = [order_line("o", "tea", "2026-03-01T10:00:00")] * 2
    deliver(stocked, "purchases", twice, loaded_at="2026-03-02T02:00:00")
    run_day(stocked.connection, FIRST)

    assert rows_of(stocked, LINES) == [("tea", 2, 400)]


def test_a_warehouse_of_an_earlier_version_keeps_its_lines_and_takes_new_ones(
    stocked: Warehouse, tmp_path: Path
) -> None:
    load(stocked, tmp_path, FIRST, line("tea", 2), line("jam", 1))
    for table, columns in {
        "raw.purchases": ("order_line_id", "delivery_id", "row_number"),
        "raw.items": ("delivery_id", "row_number"),
        "staging.stg_purchases": ("line_id", "has_line_id"),
    }.items():
        for column in columns:
            rows_of(stocked, f"alter table {table} drop column {column}")
    rows_of(stocked, "delete from ops.layers")  # what an earlier version applied has another hash

    create_layers(stocked.connection)
    run_day(stocked.connection, FIRST)
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 2, 400)]

    load(stocked, tmp_path, SECOND, line("tea", 2), line("tea", 3))
    assert rows_of(stocked, LINES) == [("jam", 1, 200), ("tea", 5, 1000)]


@pytest.fixture
def shop(warehouse: Warehouse, tmp_path: Path) -> Shop:
    return Shop(warehouse, tmp_path / "landing")


def purchase(number: int, minute: int, *items: EventItem) -> Any:
    return event(f"e{number}", "purchase", f"2026-03-01T10:{minute:02}:00", *items, transaction_id="t")


def test_a_purchase_event_that_a_reloaded_page_repeats_counts_once_and_is_told(shop: Shop) -> None:
    deliver_items(shop.warehouse, "tea", "jam")
    tea = EventItem("tea", quantity=1, price_cents=1000)
    shop.land(*(purchase(minute, minute, tea) for minute in (0, 5, 40)), loaded_at="2026-03-02T02:00:00")

    run = run_day(shop.warehouse.connection, FIRST)

    assert rows_of(shop.warehouse, LINES) == [("tea", 1, 1000)]
    assert "orders_reported_again: 1 of 1 failed, at most 0.5% may" in run.warnings


def test_the_rows_of_one_flat_event_are_summed_and_one_report_is_not_told(shop: Shop) -> None:
    deliver_items(shop.warehouse, "tea", "jam")
    rows = [
        purchase(1, 0, EventItem("tea", quantity=1, price_cents=1000)),
        purchase(2, 0, EventItem("tea", quantity=2, price_cents=900)),
        purchase(3, 0, EventItem("jam", quantity=1, price_cents=300)),
    ]
    shop.land(*rows, loaded_at="2026-03-02T02:00:00")

    run = run_day(shop.warehouse.connection, FIRST)

    assert rows_of(shop.warehouse, LINES) == [("jam", 1, 300), ("tea", 3, 1000 + 2 * 900)]
    assert not [text for text in run.warnings if text.startswith("orders_reported_again")]


def test_a_report_that_arrives_a_day_later_does_not_double_the_order(shop: Shop) -> None:
    deliver_items(shop.warehouse, "tea")
    tea = EventItem("tea", quantity=1, price_cents=1000)
    shop.land(purchase(1, 30, tea), loaded_at="2026-03-02T02:00:00")
    run_day(shop.warehouse.connection, FIRST)
    shop.land(purchase(2, 0, tea), loaded_at="2026-03-03T02:00:00")

    run = run_day(shop.warehouse.connection, SECOND)

    assert rows_of(shop.warehouse, LINES) == [("tea", 1, 1000)]
    assert [text for text in run.warnings if text.startswith("orders_reported_again")]
