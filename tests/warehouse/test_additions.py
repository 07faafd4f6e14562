"""A delivery with columns that nobody expected, or without some, does not fail the day."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from recommender.contracts.events import to_record
from recommender.errors import InvalidInput

from tests.warehouse.shop import at, event, rows_of
from warehouse.connect import Warehouse
from warehouse.raw.landed_events import load_landing, load_stage
from warehouse.raw.raw_append import Loaded, load

NIGHT = at("2026-01-03T02:00:00")
LINES = pl.DataFrame(
    {
        "Order_ID": ["o1", "o2"],
        "item_id": ["tea", "jam"],
        "shopper_id": ["anna", "ben"],
        "purchased_at": [at("2026-01-02T08:00:00")] * 2,
        "quantity": [1, 2],
        "price_cents": [200, 400],
    }
)


def deliver(warehouse: Warehouse, frame: pl.DataFrame, load_id: str, table: str = "purchases") -> Loaded:
    return load(warehouse.connection, table, frame, load_id=load_id, loaded_at=NIGHT)


def test_a_new_column_is_added_with_its_type_and_named_and_the_next_load_just_uses_it(warehouse: Warehouse) -> None:
    till = LINES.with_columns(pl.Series("order", [7, 8]), pl.Series("bag", [["paper"], []]))  # a word of SQL, a list

    first, second = deliver(warehouse, till, "night 1"), deliver(warehouse, till, "night 2")

    assert (first.rows, first.additions.added) == (2, ("order", "bag"))
    assert (second.rows, second.additions.added) == (2, ())
    query = 'select order_id, "ORDER", "BAG" from raw.purchases order by 1'
    assert rows_of(warehouse, query) == [("o1", 7, '["paper"]')] * 2 + [("o2", 8, "[]")] * 2
    assert rows_of(warehouse, "select column_name, action from ops.new_columns order by 1") == [
        ("bag", "added"),
        ("order", "added"),
    ]


def test_what_cannot_be_added_is_left_out_with_the_reason_and_the_rows_are_loaded(warehouse: Warehouse) -> None:
    deliver(warehouse, LINES.with_columns(pl.Series("till", [7, 8])), "night 1")

    odd = LINES.with_columns(pl.Series("till", ["A", "B"]), pl.Series("drop table x;", [1, 2]))
    loaded = deliver(warehouse, odd, "night 2")

    assert loaded.rows == 2
    reasons = dict(loaded.additions.left_out)
    assert "came as varchar, raw has number" in reasons["till"]
    assert "not an identifier" in reasons["drop table x;"]


def test_an_optional_column_that_is_missing_is_null_and_a_required_one_is_refused_by_name(warehouse: Warehouse) -> None:
    tea = pl.DataFrame({"item_id": ["tea"], "title": ["Tea"], "category": ["PANTRY"], "price_cents": [200]})
    assert deliver(warehouse, tea, "items", "items").rows == 1
    assert rows_of(warehouse, "select brand, cost_cents from raw.items") == [(None, None)]

    with pytest.raises(InvalidInput, match="a delivery without shopper_id"):
        deliver(warehouse, LINES.drop("shopper_id"), "night")
    with pytest.raises(InvalidInput, match="more than one column order_id"):
        deliver(warehouse, LINES.with_columns(order_id=pl.lit("x")), "night")


def test_a_new_key_of_landed_records_comes_in_as_text_from_a_folder_and_from_a_stage(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    plain = {**to_record(event("e1", "search", "2026-01-02T10:00:00")), "rewards": []}
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps(plain) + "\n" + json.dumps({**plain, "event_id": "e2", "consent": {"ads": True}}) + "\n")
    rows_of(warehouse, "create stage raw.landing")
    rows_of(warehouse, f"put 'file://{path}' @raw.landing/events/ auto_compress = false")

    landed = load_landing(warehouse.connection, tmp_path, loaded_at=NIGHT)
    assert load_stage(warehouse.connection, "@raw.landing/events/", loaded_at=NIGHT) == 2

    assert (landed.events, landed.new_columns) == (2, ("consent",))
    found = rows_of(warehouse, "select event_id, parse_json(consent):ads::boolean from raw.events order by 1")
    assert found == [("e1", None)] * 2 + [("e2", True)] * 2
