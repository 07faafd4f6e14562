"""A load that stops its day is taken back, and the corrected one is run; nothing else can be taken back."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from recommender.errors import Conflict, NotFound

from tests.warehouse.shop import deliver, order_line, rows_of
from warehouse.engine import Warehouse
from warehouse.pipeline import run_day
from warehouse.quality import QualityStop
from warehouse.withdrawals import withdraw


def test_a_load_that_stops_its_day_is_withdrawn_and_the_corrected_one_is_run(warehouse: Warehouse) -> None:
    deliver(warehouse, "items", [_tea()], loaded_at="2026-01-03T01:00:00")
    broken = [{**order_line("o1", "tea", "2026-01-02T08:00:00"), "shopper_id": None}]
    deliver(warehouse, "purchases", broken, loaded_at="2026-01-03T02:00:00", load_id="night")
    right = [order_line("o1", "tea", "2026-01-02T08:00:00")]
    deliver(warehouse, "purchases", right, loaded_at="2026-01-03T03:00:00", load_id="night, corrected")
    with pytest.raises(QualityStop, match="purchase_keys: 1 of 2 failed"):  # the corrected rows beside it do not help
        run_day(warehouse.connection, date(2026, 1, 3))

    assert withdraw(warehouse.connection, ["night"]) == {"purchases": 1}

    assert run_day(warehouse.connection, date(2026, 1, 3)).warnings == ()
    assert rows_of(warehouse, "select order_id from marts.order_lines") == [("o1",)]
    with pytest.raises(NotFound, match="no load is called 'night'"):
        withdraw(warehouse.connection, ["night"])
    with pytest.raises(Conflict, match="was taken by the run of 2026-01-03 to 2026-01-03"):
        withdraw(warehouse.connection, ["night, corrected"])
    assert rows_of(warehouse, "select token from ops.leases where pipeline = 'daily'") == [(None,)]


def test_loads_of_one_moment_are_withdrawn_together_and_rows_without_a_load_are_left(warehouse: Warehouse) -> None:
    for name in ("one", "two"):
        deliver(warehouse, "items", [_tea()], loaded_at="2026-01-03T01:00:00", load_id=name)

    with pytest.raises(Conflict, match="two came at the same moment"):
        withdraw(warehouse.connection, ["one"])
    rows_of(warehouse, "insert into raw.items (item_id, loaded_at) values ('cup', '2026-01-03T01:00:00')")
    with pytest.raises(Conflict, match="that no load in ops"):
        withdraw(warehouse.connection, ["one", "two"])
    assert rows_of(warehouse, "select count(*) from raw.items") == [(3,)]

    rows_of(warehouse, "delete from raw.items where item_id = 'cup'")
    assert withdraw(warehouse.connection, ["one", "two"]) == {"items": 2}
    assert rows_of(warehouse, "select count(*) from ops.loads") == [(0,)]


def _tea() -> dict[str, Any]:
    return {"item_id": "tea", "title": "Tea", "category": "PANTRY", "price_cents": 200}
