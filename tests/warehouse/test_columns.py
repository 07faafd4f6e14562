"""The columns of raw, staging and exports are the contracts' columns."""

from __future__ import annotations

import pytest
from recommender.contracts.events import EVENT_COLUMNS, to_record
from recommender.contracts.exports import EXPORTS, OPTIONAL_COLUMNS

from tests.warehouse.shop import event
from warehouse.connect import Warehouse
from warehouse.engine.statements import execute
from warehouse.export.parts import query_of, schema_of
from warehouse.tables import RAW

SHORT_TYPES = {
    "varchar": "TEXT",
    "timestamp_ntz": "TIMESTAMP_NTZ",
    "variant": "VARIANT",
    "boolean": "BOOLEAN",
    "number": "NUMBER",
}


def columns_of(warehouse: Warehouse, table: str) -> list[tuple[str, str]]:
    rows = execute(warehouse.connection, f"describe table {table}")
    return [(row[0].lower(), row[1].lower()) for row in rows]


@pytest.mark.parametrize("table", RAW)
def test_a_raw_table_has_what_its_source_delivers_and_the_load_time(warehouse: Warehouse, table: str) -> None:
    found = columns_of(warehouse, f"raw.{table}")

    assert [name for name, _ in found] == [*(name for name, _ in RAW[table]), "loaded_at"]
    for (_, kind), (name, declared) in zip(found, RAW[table], strict=False):
        assert kind.split("(")[0] == declared.split("(")[0], name


def test_raw_events_have_the_columns_of_the_contract_then_the_claims() -> None:
    assert [name for name, _ in RAW["events"]] == [*(column.name for column in EVENT_COLUMNS), "claims"]


def test_the_landed_record_has_the_columns_of_the_contract() -> None:
    record = to_record(event("e1", "search", "2026-01-01T10:00:00"))

    assert list(record) == [column.name for column in EVENT_COLUMNS]


def test_staging_keeps_every_column_of_an_event(warehouse: Warehouse) -> None:
    staged = [name for name, _ in columns_of(warehouse, "staging.stg_events")]

    assert staged == [*(name for name, _ in RAW["events"]), "shopper_id", "loaded_at"]


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_view_has_exactly_the_contracts_columns_then_the_optional_ones(
    warehouse: Warehouse, name: str
) -> None:
    found = [column for column, _ in columns_of(warehouse, f"exports.{name}_v1")]

    promised = [column for column, _ in EXPORTS[name]]
    assert found == promised + [column for column, _ in OPTIONAL_COLUMNS.get(name, ())]
    assert schema_of(name).names == promised
    assert execute(warehouse.connection, query_of(name)) == []
