"""A delivery that stops its day is taken back, and the corrected one is run; nothing else can be taken back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from recommender.errors import Conflict, NotFound

from tests.warehouse.shop import at, deliver, order_line, rows_of
from warehouse.connect import Warehouse
from warehouse.day.day import run_day
from warehouse.day.quality import QualityStop
from warehouse.raw.landed_events import withdraw


def test_a_delivery_that_stops_its_day_is_withdrawn_and_the_corrected_one_is_run(warehouse: Warehouse) -> None:
    deliver(warehouse, "items", [_tea()], loaded_at="2026-01-03T01:00:00")
    broken = [{**order_line("o1", "tea", "2026-01-02T08:00:00"), "shopper_id": None}]
    deliver(warehouse, "purchases", broken, loaded_at="2026-01-03T02:00:00", load_id="night")
    right = [order_line("o1", "tea", "2026-01-02T08:00:00")]
    deliver(warehouse, "purchases", right, loaded_at="2026-01-03T03:00:00", load_id="night, corrected")
    with pytest.raises(QualityStop, match="purchase_keys: 1 of 2 failed"):  # the corrected rows beside it do not help
        run_day(warehouse.connection, date(2026, 1, 3))

    assert withdraw(warehouse.connection, "purchases", at("2026-01-03T02:00:00")) == 1

    assert run_day(warehouse.connection, date(2026, 1, 3)).warnings == ()
    assert rows_of(warehouse, "select order_id from marts.order_lines") == [("o1",)]
    assert rows_of(warehouse, "select load_id from ops.loads where table_name = 'purchases'") == [("night, corrected",)]
    with pytest.raises(Conflict, match="was taken by the run of 2026-01-03 to 2026-01-03"):
        withdraw(warehouse.connection, "purchases", at("2026-01-03T03:00:00"))
    assert rows_of(warehouse, "select token from ops.leases where pipeline = 'daily'") == [(None,)]


def test_what_comes_later_on_the_day_of_a_run_has_not_been_taken_by_it(warehouse: Warehouse) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    deliver(warehouse, "items", [_tea()], loaded_at=before.isoformat(), load_id="night")
    run_day(warehouse.connection, before.date())
    after = datetime.now(UTC).replace(tzinfo=None)
    deliver(warehouse, "items", [{**_tea(), "price_cents": 1}], loaded_at=after.isoformat(), load_id="noon")

    assert withdraw(warehouse.connection, "items", after) == 1
    with pytest.raises(Conflict, match="was taken by the run of"):
        withdraw(warehouse.connection, "items", before)


def test_all_that_came_at_one_moment_goes_together_and_nothing_else(warehouse: Warehouse) -> None:
    for name, moment in (("one", "01:00:00"), ("two", "01:00:00"), ("three", "01:00:01")):
        deliver(warehouse, "items", [_tea()], loaded_at=f"2026-01-03T{moment}", load_id=name)

    assert withdraw(warehouse.connection, "items", at("2026-01-03T01:00:00")) == 2

    assert rows_of(warehouse, "select load_id from ops.loads") == [("three",)]
    assert rows_of(warehouse, "select count(*) from raw.items") == [(1,)]
    with pytest.raises(NotFound, match=r"nothing came into raw\.items at 2026-01-03 01:00:00"):
        withdraw(warehouse.connection, "items", at("2026-01-03T01:00:00"))


def _tea() -> dict[str, Any]:
    return {"item_id": "tea", "title": "Tea", "category": "PANTRY", "price_cents": 200}
