"""Every gate judges and passes the healthy day, and fails on the fault that is planted for it, alone.

A fault is planted in a transaction that is rolled back, in the tables that the gate reads.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.healthy import DAY, ROWS
from tests.warehouse.shop import rows_of
from warehouse.connect import Warehouse, open_local
from warehouse.day.checks import CHECKS
from warehouse.engine.statements import execute

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")

TODAY = f"where loaded_at >= '{DAY}'"
LINE = "order_id, item_id, shopper_id, purchased_at, quantity, price_cents"
FAULTS = {
    "events_volume_low": f"delete from raw.events {TODAY} and event_id not like '% 1%'",  # 11 of 60 stay
    "events_volume_high": f"insert into raw.events (event_id, loaded_at)"
    f" select event_id, '{DAY}T04:00' from raw.events",
    "purchases_volume_low": f"delete from raw.purchases {TODAY}",
    "purchases_volume_high": f"insert into raw.purchases ({LINE}, loaded_at)"
    f" select {LINE}, '{DAY}T04:00' from raw.purchases",
    "freshness": "update raw.purchases set purchased_at = dateadd(hour, -49, purchased_at)",
    "events_freshness": "update raw.events set event_time = dateadd(hour, -49, event_time)",
    "event_keys": f"update raw.events set visitor_id = null {TODAY}",
    "purchase_keys": f"update raw.purchases set shopper_id = null {TODAY}",
    "item_keys": f"update raw.items set title = null {TODAY}",
    "review_keys": f"update raw.reviews set rating = null {TODAY}",
    "purchase_values": f"update raw.purchases set quantity = -1 {TODAY}",
    "event_names": f"update raw.events set event_name = 'dance' {TODAY}",
    "item_availabilities": f"update raw.items set availability = 'perhaps' {TODAY}",
    "review_ratings": f"update raw.reviews set rating = 9 {TODAY}",
    "event_before_load": f"update raw.events set event_time = dateadd(minute, 6, loaded_at) {TODAY}",
    "late_events": f"update raw.events set event_time = dateadd(hour, -49, loaded_at) {TODAY}",
    "event_copies": f"update raw.events set event_id = 'one', session_id = 'one' {TODAY}",
    "orders_reported_again": "insert into staging.stg_events select stg_events.* replace (number as event_id,"
    f" 'purchase' as event_name, '{DAY} 1' as transaction_id, dateadd(minute, number, event_time) as event_time)"
    f" from staging.stg_events cross join (select column1 as number from values (1), (2)) as twice"
    f" where event_id = '{DAY} 1'",
    "paid_prices_low": "update marts.order_lines set price_cents = price_cents / 6",
    "paid_prices_high": "update marts.order_lines set price_cents = price_cents * 6",
    "rejects": f"insert into raw.rejects values ('a.csv', 1, '', 'x', '{DAY}'), ('a.csv', 2, '', 'x', '{DAY}')",
    "new_columns": f"insert into ops.new_columns values ('items', 'colour', 'added', '', 'items/1', '{DAY}')",
    "events_unique": f"update staging.stg_events set event_id = 'one', session_id = 'one' {TODAY}",
    "order_lines_unique": f"update marts.order_lines set order_id = 'one' {TODAY}",
    "items_unique": "update staging.stg_items set item_id = 'one'",
    "order_items_known": "delete from staging.stg_items where item_id = 'tea'",
    "event_items_known": "delete from staging.stg_items where item_id = 'tea'",
    "catalogue_volume": "delete from staging.stg_items",
    "item_prices": "update staging.stg_items set price_cents = 0",
    "item_margins": "update staging.stg_items set cost_cents = 3 * price_cents",
    "item_costs": "update staging.stg_items set cost_cents = price_cents + 1",
    "price_jumps": "update marts.item_history set price_cents = 6 * price_cents where is_current",
    "item_texts": "update staging.stg_items set title = ''",
    "impressions_without_claims": "update staging.stg_events set claims = null",
    "clicks_without_impression": "delete from marts.impressions",
    "impression_propensities": "update marts.impressions set propensity = 0",
    "shared_visitors": "update staging.stg_events set visitor_id = 'kiosk'",
}


@pytest.fixture(scope="module")
def healthy(healthy_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("gates")
    shutil.copy(healthy_database, folder)
    with open_local(folder) as opened:
        yield opened


def verdict(warehouse: Warehouse, name: str, day: date = DAY) -> dict[str, Any]:
    """What the gate says of the day now, without a record."""
    start = datetime.combine(day, time())
    window = {"loaded_from": start - timedelta(days=1), "loaded_until": start + timedelta(days=1), "day": day}
    (check,) = (check for check in CHECKS if check.name == name)
    ((checked, failed, value),) = execute(
        warehouse.connection, f"select count_checked, count_failed, value from ({check.selected}) as found", window
    )
    return {"checked": checked, "value": value, "passed": failed <= check.tolerance * checked}


@pytest.fixture
def planted(healthy: Warehouse) -> Iterator[Warehouse]:
    """The healthy warehouse, to be broken: whatever a test writes is undone."""
    rows_of(healthy, "begin")
    yield healthy
    rows_of(healthy, "rollback")


def test_no_gate_is_without_a_planted_fault() -> None:
    assert set(FAULTS) == {check.name for check in CHECKS}


def test_every_gate_judges_the_healthy_day_and_passes_it(healthy: Warehouse) -> None:
    found = rows_of(healthy, f"select name, count_checked, passed from quality.results where run_on = '{DAY}'")

    assert len(found) == len(CHECKS)
    assert [name for name, _, passed in found if not passed] == []
    nothing = [name for name, checked, _ in found if not checked]
    assert nothing == ["new_columns"]  # a healthy delivery brings none


@pytest.mark.parametrize("name", FAULTS)
def test_a_gate_fails_on_its_fault(planted: Warehouse, name: str) -> None:
    rows_of(planted, FAULTS[name])

    assert verdict(planted, name)["passed"] is False


# Arrivals: what is no fault of the delivery is no failure.


def test_a_weekday_on_which_nothing_ever_comes_is_not_judged(planted: Warehouse) -> None:
    found = verdict(planted, "purchases_volume_low", DAY - timedelta(days=1))

    assert found == {"checked": 0, "value": None, "passed": True}


def test_a_warehouse_of_two_weeks_is_not_judged_by_volume(planted: Warehouse) -> None:
    rows_of(planted, f"delete from raw.events where loaded_at < '{DAY - timedelta(weeks=2)}'")
    rows_of(planted, f"delete from raw.events {TODAY}")

    assert verdict(planted, "events_volume_low") == {"checked": 0, "value": None, "passed": True}


def test_a_week_without_a_delivery_counts_as_none_and_does_not_move_the_usual_day(planted: Warehouse) -> None:
    a_week_ago = DAY - timedelta(weeks=1)
    rows_of(planted, f"delete from raw.events where to_date(loaded_at) = '{a_week_ago}'")

    assert verdict(planted, "events_volume_low")["value"] == pytest.approx((ROWS + 2) / ROWS)


def test_a_shop_of_a_few_rows_a_day_is_not_judged_by_volume(planted: Warehouse) -> None:
    rows_of(planted, "delete from raw.purchases where order_id like '% 2%'")  # 49 of 60 a day stay

    assert verdict(planted, "purchases_volume_low")["checked"] == 0


@pytest.mark.parametrize("name", ["freshness", "events_freshness", "purchases_volume_low", "events_volume_low"])
def test_an_old_day_that_is_run_again_is_judged_as_it_was(planted: Warehouse, name: str) -> None:
    then = verdict(planted, name)
    rows_of(planted, "update ops.watermarks set processed_until = '2026-12-01'")

    assert verdict(planted, name) == then
    assert verdict(planted, name, DAY - timedelta(weeks=1))["passed"]


def test_an_event_of_the_future_does_not_make_an_old_delivery_fresh(planted: Warehouse) -> None:
    rows_of(planted, FAULTS["events_freshness"])
    rows_of(planted, "update raw.events set event_time = '2031-01-01' where event_id = 'l1'")

    assert verdict(planted, "events_freshness") == {"checked": 1, "value": pytest.approx(52, abs=1), "passed": False}


def test_what_was_delivered_once_and_then_never_again_is_not_fresh(planted: Warehouse) -> None:
    late = DAY + timedelta(days=30)

    assert verdict(planted, "freshness", late) == {"checked": 1, "value": None, "passed": False}


def test_what_never_came_is_not_judged(planted: Warehouse) -> None:
    rows_of(planted, "delete from raw.purchases")

    assert {verdict(planted, name)["checked"] for name in ("freshness", "purchases_volume_low")} == {0}
