"""Bad data stop the day or warn, and a stopped day is taken again. Every gate fails on a fault planted for it."""

from __future__ import annotations

from datetime import date

import pytest
from recommender.errors import NotFound

from tests.warehouse.shop import deliver, deliver_items, order_line, rows_of
from warehouse.connect import Warehouse
from warehouse.day.day import BEGINNING, read_watermark, run_day
from warehouse.day.doctor import diagnose
from warehouse.day.quality import CHECKS, QualityStop

DAY = date(2026, 1, 3)


def test_good_data_pass_every_check(warehouse: Warehouse) -> None:
    deliver_items(warehouse, "tea")
    deliver(warehouse, "purchases", [order_line("o1", "tea", "2026-01-02T08:00:00")], loaded_at="2026-01-03T02:00:00")

    run = run_day(warehouse.connection, DAY)

    assert run.warnings == ()
    assert rows_of(warehouse, "select count(*), sum(iff(passed, 1, 0)) from quality.results") == [
        (len(CHECKS), len(CHECKS))
    ]


def test_orders_without_keys_stop_the_day_and_the_watermark_stays(warehouse: Warehouse) -> None:
    deliver_items(warehouse, "tea")
    broken = [{**order_line(f"o{n}", "tea", "2026-01-02T08:00:00"), "shopper_id": None} for n in range(3)]
    deliver(warehouse, "purchases", broken, loaded_at="2026-01-03T02:00:00")

    with pytest.raises(QualityStop, match="purchase_keys: 3 of 3 failed"):
        run_day(warehouse.connection, DAY)

    assert read_watermark(warehouse.connection) == BEGINNING
    assert rows_of(warehouse, "select passed from quality.results where name = 'purchase_keys'") == [(False,)]


def test_orders_of_unknown_items_stop_the_day(warehouse: Warehouse) -> None:
    deliver_items(warehouse, "tea")
    deliver(warehouse, "purchases", [order_line("o1", "jam", "2026-01-02T08:00:00")], loaded_at="2026-01-03T02:00:00")

    with pytest.raises(QualityStop, match="order_items_known: 1 of 1 failed"):
        run_day(warehouse.connection, DAY)


def test_an_empty_catalogue_stops_the_day(warehouse: Warehouse) -> None:
    with pytest.raises(QualityStop, match="catalogue_volume"):
        run_day(warehouse.connection, DAY)


def test_old_orders_and_odd_prices_warn_and_the_day_goes_on(warehouse: Warehouse) -> None:
    deliver(
        warehouse,
        "items",
        [{"item_id": "tea", "title": "Tea", "category": "PANTRY", "price_cents": 0}],
        loaded_at="2026-01-01T02:00:00",
    )
    deliver(warehouse, "purchases", [order_line("o1", "tea", "2025-12-20T08:00:00")], loaded_at="2026-01-03T02:00:00")

    run = run_day(warehouse.connection, DAY)

    assert [text.split(":")[0] for text in run.warnings] == ["freshness", "item_prices"]


def test_a_warehouse_that_never_ran_says_so(warehouse: Warehouse) -> None:
    with pytest.raises(NotFound, match="nothing is recorded of any day; no day was ever run"):
        diagnose(warehouse.connection)


def test_a_run_that_failed_before_its_checks_is_told(warehouse: Warehouse) -> None:
    rows_of(
        warehouse,
        "insert into ops.runs (run_id, pipeline, first_day, last_day, status, started_at, message) values"
        " ('r', 'daily', '2026-01-03', '2026-01-03', 'failed', '2026-01-03 05:00', 'the warehouse went away in x')",
    )

    found = diagnose(warehouse.connection)

    assert (found.state, found.count_checks, found.findings) == ("stop", 0, ())
    assert "the run of 2026-01-03 05:00 UTC: failed (the warehouse went away in x)" in found.to_text()
    assert found.to_text().endswith("backfill --database DIR --from 2026-01-03 --to 2026-01-03")
