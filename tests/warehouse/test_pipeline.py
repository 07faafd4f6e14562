"""A day can be run again, in any grouping, and late or repeated data end up where they belong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from recommender.contracts.events import EventItem

from tests.warehouse.shop import Shop, deliver, deliver_items, event, fingerprints, order_line, rows_of
from warehouse.connect import Warehouse, open_local
from warehouse.day.day import read_watermark, run_day
from warehouse.raw.raw_append import append
from warehouse.sources.history import History

TEA = EventItem("tea")


def load_all(warehouse: Warehouse, history: History, count_days: int) -> list[date]:
    """Load every delivery; returns the days on which they were loaded, the bulk's first run first."""
    days = []
    for loaded_at, frames in history.deliveries(count_days):
        for name, frame in frames.items():
            append(warehouse.connection, name, frame, load_id=f"{loaded_at}/{name}", loaded_at=loaded_at)
        days.append(history.first_run(count_days) if "items" in frames else loaded_at.date())
    return days


def test_running_a_day_again_changes_nothing(warehouse: Warehouse, small_history: History) -> None:
    days = load_all(warehouse, small_history, count_days=1)
    for day in days:
        run_day(warehouse.connection, day)
    before, watermark = fingerprints(warehouse.connection), read_watermark(warehouse.connection)

    for day in reversed(days):
        run_day(warehouse.connection, day)

    assert fingerprints(warehouse.connection) == before
    assert read_watermark(warehouse.connection) == watermark


def test_one_backfill_gives_what_daily_runs_give(warehouse: Warehouse, small_history: History) -> None:
    for day in load_all(warehouse, small_history, count_days=1):
        run_day(warehouse.connection, day)
    daily = fingerprints(warehouse.connection)
    last_day = small_history.until.date()

    for layer in ("staging", "marts"):  # back to the state after the loads
        for (table,) in rows_of(
            warehouse, f"select table_name from information_schema.tables where table_schema = '{layer.upper()}'"
        ):
            if table != "MARGIN_RULES":
                rows_of(warehouse, f"truncate table {layer}.{table}")
    rows_of(warehouse, "truncate table ops.watermarks")
    run_day(warehouse.connection, last_day)

    assert fingerprints(warehouse.connection) == daily


def test_the_bulk_is_not_read_again_by_the_first_increment(warehouse: Warehouse, small_history: History) -> None:
    first, second = load_all(warehouse, small_history, count_days=1)
    run_day(warehouse.connection, first)

    run = run_day(warehouse.connection, second)

    ((in_window,),) = rows_of(
        warehouse,
        f"select count(*) from raw.events where loaded_at >= '{run.loaded_from}' and loaded_at < '{run.loaded_until}'",
    )
    assert in_window == run.changed["staging/stg_events.sql"]
    assert 0 < in_window < small_history.events.height / 4


def test_an_event_that_arrives_days_late_is_included(warehouse: Warehouse, tmp_path: Path) -> None:
    shop = Shop(warehouse, tmp_path / "landing")
    deliver_items(warehouse, "tea")
    run_day(warehouse.connection, date(2026, 1, 9))

    shop.land(event("late", "view_item", "2026-01-02T08:00:00", TEA), loaded_at="2026-01-10T03:00:00")
    run_day(warehouse.connection, date(2026, 1, 10))

    assert rows_of(warehouse, "select event_id, item_id from marts.session_events") == [("late", "tea")]


def test_a_load_after_the_days_run_is_taken_by_the_next_days_run(warehouse: Warehouse, tmp_path: Path) -> None:
    shop = Shop(warehouse, tmp_path / "landing")
    deliver_items(warehouse, "tea")
    run_day(warehouse.connection, date(2026, 1, 9))

    shop.land(event("evening", "view_item", "2026-01-09T20:00:00", TEA), loaded_at="2026-01-09T21:00:00")
    run_day(warehouse.connection, date(2026, 1, 10))

    assert rows_of(warehouse, "select event_id from marts.session_events") == [("evening",)]


def test_an_event_delivered_twice_counts_once_and_the_first_delivery_stays(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    shop = Shop(warehouse, tmp_path / "landing")
    deliver_items(warehouse, "tea", "jam")
    shop.land(event("e1", "view_item", "2026-01-02T08:00:00", TEA), loaded_at="2026-01-02T09:00:00")
    run_day(warehouse.connection, date(2026, 1, 2))

    shop.land(event("e1", "view_item", "2026-01-02T08:00:00", EventItem("jam")), loaded_at="2026-01-03T09:00:00")
    run_day(warehouse.connection, date(2026, 1, 3))

    assert rows_of(warehouse, "select count(*) from raw.events") == [(2,)]
    assert rows_of(warehouse, "select event_id, item_id from marts.session_events") == [("e1", "tea")]


def test_a_corrected_order_line_replaces_the_older_one(warehouse: Warehouse) -> None:
    deliver_items(warehouse, "tea")
    deliver(
        warehouse,
        "purchases",
        [order_line("o1", "tea", "2026-01-02T08:00:00", quantity=1)],
        loaded_at="2026-01-03T02:00:00",
    )
    run_day(warehouse.connection, date(2026, 1, 3))

    corrected = order_line("o1", "tea", "2026-01-02T08:00:00", quantity=3, price_cents=600)
    deliver(warehouse, "purchases", [corrected], loaded_at="2026-01-04T02:00:00")
    run_day(warehouse.connection, date(2026, 1, 4))
    run_day(warehouse.connection, date(2026, 1, 3))

    assert rows_of(warehouse, "select quantity, price_cents from exports.purchases_v1") == [(3, 600)]


def test_a_load_happens_once_however_often_it_is_tried(warehouse: Warehouse) -> None:
    line = [order_line("o1", "tea", "2026-01-02T08:00:00")]

    first = deliver(warehouse, "purchases", line, loaded_at="2026-01-03T02:00:00", load_id="night")
    again = deliver(warehouse, "purchases", line, loaded_at="2026-01-03T04:00:00", load_id="night")

    assert (first, again) == (1, 0)
    assert rows_of(warehouse, "select count(*) from raw.purchases") == [(1,)]


def test_a_load_that_breaks_off_leaves_nothing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of(warehouse, "alter table ops.loads rename to ops.loads_away")
    rows_of(warehouse, "create view ops.loads as select * from ops.loads_away")  # can be read, cannot be written

    with pytest.raises(Exception, match=r"(?i)loads"):
        deliver(
            warehouse, "purchases", [order_line("o1", "tea", "2026-01-02T08:00:00")], loaded_at="2026-01-03T02:00:00"
        )

    assert rows_of(warehouse, "select count(*) from raw.purchases") == [(0,)]


def test_the_database_is_there_when_it_is_opened_again(database: Path) -> None:
    with open_local(database) as warehouse:
        deliver_items(warehouse, "tea")
        run_day(warehouse.connection, date(2026, 1, 2))

    with open_local(database) as warehouse:
        assert rows_of(warehouse, "select item_id, margin_share, margin_derived from exports.items_v1") == [
            ("tea", 0.3, True)
        ]
