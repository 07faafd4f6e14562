"""What the marts say after four days in which late, repeated, corrected and refunded data arrived.

The warehouse of these tests ran day by day, then the day of the late stamp again. That one run of everything gives
the same rows, and that a rerun changes none, are the last two tests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.shop import Shop, at, fingerprints, rows_of
from tests.warehouse.story import DAYS, LATE_STAMP, deliver_day, deliver_late_stamp
from warehouse.connect import Warehouse, open_local
from warehouse.day.day import run_day


@dataclass(frozen=True)
class Told:
    """The database after the days one by one, the hashes of its tables, and those after one run of everything."""

    database: Path
    daily: dict[str, str]
    at_once: dict[str, str]


@contextmanager
def opened(empty_database: Path, folder: Path) -> Iterator[Shop]:
    (folder / "database").mkdir()
    shutil.copy(empty_database, folder / "database")
    with open_local(folder / "database") as warehouse:
        yield Shop(warehouse, folder / "landing")


def run(warehouse: Warehouse, day: int) -> None:
    run_day(warehouse.connection, date(2026, 1, day))


@pytest.fixture(scope="module")
def told(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    daily, at_once = tmp_path_factory.mktemp("daily"), tmp_path_factory.mktemp("at_once")
    with opened(empty_database, at_once) as shop:
        for day in DAYS:
            deliver_day(shop, day)
        deliver_late_stamp(shop)
        run(shop.warehouse, DAYS[-1])
        hashes_at_once = fingerprints(shop.warehouse.connection)
    with opened(empty_database, daily) as shop:
        for day in DAYS:
            deliver_day(shop, day)
            run(shop.warehouse, day)
        deliver_late_stamp(shop)
        run(shop.warehouse, LATE_STAMP)
        return Told(daily / "database", fingerprints(shop.warehouse.connection), hashes_at_once)


@pytest.fixture
def after(told: Told) -> Iterator[Warehouse]:
    with open_local(told.database) as warehouse:
        yield warehouse


def ask(warehouse: Warehouse, columns: str, table: str) -> list[tuple[Any, ...]]:
    """The rows of a table, in the order of their columns."""
    return sorted(rows_of(warehouse, f"select {columns} from {table}"), key=repr)


def second(clock: str) -> datetime:
    return at(f"2026-01-02T{clock}")


def test_a_late_event_joins_two_sessions_and_more_than_half_an_hour_parts_them(after: Warehouse) -> None:
    columns = "visitor_id, started_at, ended_at, shopper_id, landing, count_events, count_views, count_purchases"

    assert ask(after, columns, "marts.sessions") == [
        # s1 v1 l1 s2 c1 late k1 v2 c2 b1
        ("browser", second("10:00:00"), second("10:50:00"), "anna", "search", 10, 3, 1),
        ("kiosk", at("2026-01-03T15:10:00"), at("2026-01-03T15:10:00"), "finn", "order", 1, 0, 1),
        ("phone", second("11:00:00"), second("11:30:00"), "ben", "product", 2, 2, 0),
        ("phone", second("12:00:01"), second("12:00:01"), "ben", "product", 1, 1, 0),
        ("tablet", at("2026-01-03T15:00:00"), at("2026-01-03T15:00:00"), "dora", "order", 1, 0, 1),
    ]


def test_who_had_ordered_before_a_session_has_history(after: Warehouse) -> None:
    found = ask(after, "shopper_id, has_history", "marts.sessions where started_at < '2026-01-03'")

    # o2 became an order of anna's, and was ben's only one
    assert found == [("anna", True), ("ben", False), ("ben", False)]


def test_a_sequence_holds_the_items_of_a_session_in_order_of_time(after: Warehouse) -> None:
    found = ask(after, "visitor_id, item_ids, count_items", "marts.browse_sequences")

    sequences = [(visitor, json.loads(items), count) for visitor, items, count in found]
    # tea was looked at and then carted, the mug arrived late
    assert sequences == [("browser", ["tea", "mug", "jam"], 3), ("phone", ["jam"], 1), ("phone", ["jam"], 1)]


def test_a_search_knows_what_was_clicked_before_the_next_search(after: Warehouse) -> None:
    columns = "event_id, shopper_id, search_term, clicked_item_id, clicked_position, clicked_at"

    assert ask(after, columns, "marts.searches") == [
        ("s1", "anna", "green tea", "tea", 2, second("10:01:00")),
        ("s2", "anna", "cup", "mug", 4, second("10:25:00")),
    ]
    exported = ask(after, "event_id, search_term, clicked_item_id", "exports.searches_v1")
    assert exported == [("s1", "green tea", "tea"), ("s2", "cup", "mug")]


def test_an_impression_knows_its_claims_and_what_came_of_it(after: Warehouse) -> None:
    claims = "placement, config_version, epoch, propensity, is_holdout, segment, visitor_id, shopper_id"

    shared = ("home_hero", 7, 3, 0.25, False, "user", "browser", "anna")
    # the tea was carted and ordered after it was shown; the jam was clicked and, told late, carted
    assert ask(after, f"item_id, clicked, carted, purchased, {claims}", "marts.impressions") == [
        ("jam", True, True, False, *shared),
        ("tea", False, True, True, *shared),
    ]


def test_an_order_without_prices_takes_those_of_its_time_or_the_first_that_came_later(after: Warehouse) -> None:
    lines = ask(after, "item_id, price_cents", "marts.order_lines where order_id in ('o4', 'o5')")
    assert lines == [("jam", 2 * 350), ("pot", 500), ("tea", 3 * 200)]
    assert ask(after, "price_cents", "marts.items where item_id = 'jam'") == [(300,)]


def test_a_corrected_order_leaves_its_old_shopper_and_a_refund_its_share(after: Warehouse) -> None:
    columns = "shopper_id, consent, count_orders, count_units, spend_cents, first_ordered_at, favourite_category"

    spent = 570 * 2 // 3 + 300 + 900 + 350  # o1 with one of three teas refunded, o2, and the lines of o3
    assert ask(after, columns, "marts.shopper_profiles") == [
        # two teas, two jams, one mug: of equals the first by name, and the tea's category is that of today
        ("anna", "granted", 3, 5, spent, at("2026-01-01T12:00:00"), "PANTRY > HOT DRINKS"),
        ("ben", "unknown", 0, 0, 0, None, None),
        ("dora", "unknown", 1, 2 + 3, 700 + 600, at("2026-01-03T15:00:00"), "PANTRY > HOT DRINKS"),
        ("eve", "unknown", 20, 20, 20 * 900, at("2026-01-03T18:00:00"), "HOME > MUGS"),
        ("finn", "unknown", 1, 1, 500, at("2026-01-03T15:10:00"), "HOME > POTS"),
    ]


def test_the_popularity_of_a_day_follows_late_events_and_moved_orders(after: Warehouse) -> None:
    columns = "day, item_id, count_views, count_cart_additions, count_orders, count_units, revenue_cents"

    first, then, third = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)
    assert ask(after, columns, "marts.item_popularity_daily") == [
        (first, "jam", 0, 0, 1, 1, 300),  # o2 was moved here, and left nothing on the last day of the year
        (then, "jam", 1 + 3, 1, 0, 0, 0),
        (then, "mug", 1, 0, 0, 0, 0),
        (then, "tea", 1, 1, 1, 2, 380),
        (third, "jam", 0, 0, 2, 1 + 2, 350 + 700),
        (third, "mug", 0, 0, 1 + 20, 1 + 20, 21 * 900),
        (third, "pot", 0, 0, 1, 1, 500),
        (third, "tea", 0, 0, 1, 3, 600),
    ]


def test_items_of_one_order_are_each_others_partners(after: Warehouse) -> None:
    assert ask(after, "item_id, other_item_id, count_orders", "marts.co_purchases") == [
        ("jam", "mug", 1),
        ("jam", "tea", 1),
        ("mug", "jam", 1),
        ("tea", "jam", 1),
    ]


def test_a_version_of_an_item_holds_until_something_changes(after: Warehouse) -> None:
    start, third = second("01:00:00"), at("2026-01-03T01:00:00")
    found_late, fifth = at("2026-01-04T20:00:00"), at("2026-01-05T01:00:00")

    assert ask(after, "item_id, valid_from, valid_to, is_current", "marts.item_history") == [
        ("jam", start, third, False),
        ("jam", third, found_late, False),
        ("jam", found_late, None, True),
        ("mug", start, third, False),
        ("mug", third, found_late, False),
        ("mug", found_late, fifth, False),
        ("mug", fifth, None, True),
        ("pot", fifth, None, True),
        ("tea", start, fifth, False),  # on the third day it was delivered again, the same
        ("tea", fifth, None, True),
    ]
    assert ask(after, "item_id, valid_from, price_cents", "marts.price_history") == [
        ("jam", start, 300),
        ("jam", third, 350),
        ("jam", found_late, 300),
        ("mug", start, 900),
        ("pot", fifth, 500),
        ("tea", start, 200),
    ]
    assert ask(after, "availability, valid_from, valid_to", "marts.stock_history where item_id = 'mug'") == [
        ("in_stock", start, third),
        ("in_stock", found_late, fifth),
        ("out_of_stock", third, found_late),
        ("out_of_stock", fifth, None),
    ]


def test_the_newest_version_of_a_review_counts_and_an_order_verifies_it(after: Warehouse) -> None:
    # ben had ordered the jam until the order became anna's; a rating of nine is none
    assert ask(after, "review_id, rating, text, is_verified", "marts.reviews") == [
        ("r1", 4, "good", True),
        ("r2", 4, "sweet", False),
    ]
    assert ask(after, "item_id, reviews", "exports.items_v1") == [
        ("jam", "sweet"),
        ("mug", None),
        ("pot", None),
        ("tea", "good"),
    ]


def test_one_run_of_everything_gives_the_rows_of_the_daily_runs(told: Told) -> None:
    assert told.at_once == told.daily


def test_running_the_days_again_in_another_order_changes_nothing(told: Told, after: Warehouse) -> None:
    for day in (4, 2, 5):
        run(after, day)

    assert fingerprints(after.connection) == told.daily
