"""A warehouse that an earlier version made is brought to the shape of a fresh one, and its rows stay."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from recommender.errors import ArtifactRefused

from tests.warehouse.shop import deliver, deliver_items, order_line, rows_of
from warehouse.connect import Warehouse
from warehouse.day.day import BEGINNING, read_watermark, run_day
from warehouse.engine.schema import add_missing_columns, create_layers, declared_tables, drop_derived
from warehouse.export.parts import fingerprints

DAY = date(2026, 1, 3)
# marts of the first version: a table that is a view now, and one without what may not be null now
FIRST_MARTS = (
    "drop view marts.items",
    "create table marts.items (item_id varchar(128) not null, title varchar(1024) not null)",
    "drop table marts.impressions",
    "create table marts.impressions (recommendation_id varchar(128) not null, item_id varchar(128) not null)",
)


def shape_of(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Every column of every table and view, without its place in it; lengths of texts the embedded engine forgets."""
    return rows_of(
        warehouse,
        "select lower(table_schema) || '.' || lower(table_name), lower(column_name), data_type, is_nullable,"
        " numeric_precision, numeric_scale from information_schema.columns"
        " where table_schema in ('RAW', 'STAGING', 'MARTS', 'EXPORTS', 'OPS', 'QUALITY') order by 1, 2",
    )


def test_the_declared_columns_are_those_of_a_fresh_warehouse(warehouse: Warehouse) -> None:
    declared = {(table, name) for table, columns in declared_tables().items() for name in columns}
    tables = set(declared_tables())

    assert declared == {(table, name) for table, name, *_ in shape_of(warehouse) if table in tables}
    assert len(tables) == 42
    assert add_missing_columns(warehouse.connection) == ()


def test_a_warehouse_without_any_of_the_columns_that_may_be_null_becomes_a_fresh_one(warehouse: Warehouse) -> None:
    fresh = shape_of(warehouse)
    rows_of(
        warehouse,
        "insert into quality.results (run_on, name, severity, count_checked, count_failed, passed)"
        " values ('2026-01-01', 'freshness', 'warn', 1, 0, true)",
    )
    dropped = [
        (table, name)
        for table, columns in declared_tables().items()
        if any(kind.endswith("not null") for kind in columns.values())  # a table has one column at least
        for name, kind in columns.items()
        if not kind.endswith("not null")
    ]
    for table, name in dropped:
        rows_of(warehouse, f"alter table {table} drop column {name}")
    assert ("quality.results", "allowed") in dropped

    create_layers(warehouse.connection)

    assert shape_of(warehouse) == fresh
    assert rows_of(warehouse, "select name, value, allowed from quality.results") == [("freshness", None, None)]


def test_marts_that_no_column_can_mend_are_named_and_derived_anew_from_raw(warehouse: Warehouse) -> None:
    fresh = shape_of(warehouse)
    deliver_items(warehouse, "tea")
    deliver(warehouse, "purchases", [order_line("o1", "tea", "2026-01-02T08:00:00")], loaded_at="2026-01-03T02:00:00")
    run_day(warehouse.connection, DAY)
    derived = fingerprints(warehouse.connection)
    for statement in (*FIRST_MARTS, "alter table quality.results drop column value"):
        rows_of(warehouse, statement)

    with pytest.raises(ArtifactRefused, match=r"marts.impressions lacks session_id.*marts.items is a table.*--anew"):
        create_layers(warehouse.connection)
    assert ("quality.results", "value") not in {(table, name) for table, name, *_ in shape_of(warehouse)}

    drop_derived(warehouse.connection)
    create_layers(warehouse.connection)

    assert shape_of(warehouse) == fresh
    assert read_watermark(warehouse.connection) == BEGINNING
    run_day(warehouse.connection, DAY)
    assert fingerprints(warehouse.connection) == derived
