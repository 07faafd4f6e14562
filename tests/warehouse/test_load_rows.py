"""What a shop's own files become: mapping, types, times, rejects; nothing here opens a warehouse."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recommender.errors import InvalidInput

from warehouse.load.delivery import Delivery, Read, read_delivery
from warehouse.load.mapping import mapped, read_mapping
from warehouse.tables import PLACE

NOW = datetime(2026, 3, 2, 12)
HEAD = "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID"
STATED = {"columns": {"item_id": "StockCode"}}


def read(folder: Path, name: str, content: str | bytes, table: str, **more: Any) -> tuple[Read, pl.DataFrame]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    parts = folder / "parts"
    parts.mkdir(exist_ok=True)
    delivery = Delivery(table, path, NOW, **{"most_rejected": 1.0, **more})
    found = read_delivery(delivery, parts)
    named = [
        pl.read_parquet(part.path).rename({ours: name for name, ours in part.names.items()}) for part in found.parts
    ]
    rows = pl.concat(named) if named else pl.DataFrame()
    return found, rows.drop(*PLACE, "order_line_id", strict=False)


def test_a_csv_is_mapped_by_common_names_and_its_prices_become_cents(tmp_path: Path) -> None:
    text = f"{HEAD}\n7,85123,6,2026-01-01 08:26,2.55,17850\n"

    found, rows = read(tmp_path, "orders.csv", text, "purchases", stated=STATED)

    assert found.reasons() == {}
    assert rows.to_dicts() == [
        {
            "order_id": "7",
            "item_id": "85123",
            "shopper_id": "17850",
            "purchased_at": datetime(2026, 1, 1, 8, 26),
            "quantity": 6,
            "price_cents": 6 * 255,  # UnitPrice is of one unit, raw keeps the line's
        }
    ]


def test_bad_rows_are_kept_with_number_reason_and_content_and_the_good_ones_around_them_pass(tmp_path: Path) -> None:
    lines = [
        HEAD,
        "1,a,1,2026-01-01,2.00,s",
        "1,b,1,2026-01-01",
        "1,c,-2,2026-01-01,2.00,s",
        "1,d,1,2027-01-01,2.00,s",
        "1,e,1,2026-01-01,free,s",
        "1,,1,2026-01-01,2.00,s",
        "1,g,1,yesterday,2.00,s",
        "1,h,1.5,2026-01-01,2.00,s",
        "1,i,1,2026-01-01,2.00,s",
    ]

    found, rows = read(tmp_path, "orders.csv", "\n".join(lines), "purchases", stated=STATED)

    assert rows["item_id"].to_list() == ["a", "i"]
    assert {reject.row_number: reject.reason for reject in found.rejects()} == {
        3: "4 columns, the head has 6",
        4: "quantity: below 0; a return is loaded as a refund event (docs/data.md)",
        5: "purchased_at: in the future",
        6: "unit_price_cents: not an amount of 0 or more",
        7: "item_id: empty",
        8: "purchased_at: not a time",
        9: "quantity: not a whole number from 1 to 9999999",
    }
    assert all("2026" in reject.content for reject in found.rejects() if reject.row_number in (3, 4, 6))


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-01-01T12:00:00Z", "Europe/Berlin", datetime(2026, 1, 1, 12)),
        ("2026-01-01T12:00:00.250+01:00", "UTC", datetime(2026, 1, 1, 11, 0, 0, 250_000)),
        ("2026-01-01 12:00:00-0530", "UTC", datetime(2026, 1, 1, 17, 30)),
        ("2026-01-01 12:00:00 UTC", "Europe/Berlin", datetime(2026, 1, 1, 12)),
        ("2026-01-01 12:00:00", "Europe/Berlin", datetime(2026, 1, 1, 11)),
        ("2026-01-01", "UTC", datetime(2026, 1, 1)),
        ("1767268800", "Europe/Berlin", datetime(2026, 1, 1, 12)),
        ("1767268800000", "UTC", datetime(2026, 1, 1, 12)),
        ("1767268800000000", "UTC", datetime(2026, 1, 1, 12)),
    ],
)
def test_a_time_counts_in_its_own_zone_or_in_the_stated_one(
    tmp_path: Path, text: str, zone: str, expected: datetime
) -> None:
    stated = {**STATED, "time_zone": zone}

    _, rows = read(tmp_path, "orders.csv", f"{HEAD}\n1,a,1,{text},2.00,s\n", "purchases", stated=stated)

    assert rows["purchased_at"].to_list() == [expected]


def test_bytes_of_another_encoding_are_a_reject_and_the_stated_encoding_reads_them(tmp_path: Path) -> None:
    text = "sku,name,category,price\n1,Tee,Drinks,2\n2,Käse,Food,3\n".encode("cp1252")

    found, rows = read(tmp_path, "items.csv", text, "items")
    assert rows["item_id"].to_list() == ["1"]
    assert found.reasons() == {"bytes that are not of the encoding": 1}

    _, rows = read(tmp_path, "items.csv", text, "items", encoding="cp1252")
    assert rows["title"].to_list() == ["Tee", "Käse"]


def test_a_column_in_want_is_named_with_what_the_file_has(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no column for purchased_at.*the file has order_id, sku"):
        read(tmp_path, "orders.csv", "order_id,sku,customer_id,qty,unit_price\n1,a,s,1,2\n", "purchases")


@pytest.mark.parametrize("content", [b"", b"order_id,sku,customer_id,date,qty,unit_price\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"empty file|without rows"):
        read(tmp_path, "orders.csv", content, "purchases")


def test_a_parquet_or_gzip_that_breaks_off_is_refused_as_a_whole(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"sku": [1, 2]}).write_parquet(whole)
    with pytest.raises(InvalidInput, match="not a whole Parquet file"):
        read(tmp_path, "items.parquet", whole.read_bytes()[:-20], "items")

    packed = gzip.compress(b"sku,name,category,price\n" + b"1,Tea,Drinks,2\n" * 5_000)
    with pytest.raises(InvalidInput, match="breaks off"):
        read(tmp_path, "items.csv.gz", packed[:-30], "items")


def test_ids_that_are_numbers_are_the_same_text_from_csv_parquet_and_json_lines(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"sku": [12.0, None], "name": ["Tea", "Milk"], "category": ["Drinks"] * 2, "price": [2.5, 3.0]}
    )
    frame.write_parquet(tmp_path / "source.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in frame.to_dicts())

    for name, content in (
        ("items.parquet", (tmp_path / "source.parquet").read_bytes()),
        ("items.jsonl", lines.encode()),
        ("items.csv", b"sku,name,category,price\n12,Tea,Drinks,2.5\n,Milk,Drinks,3\n"),
    ):
        found, rows = read(tmp_path, name, content, "items")
        assert rows.select("item_id", "title", "price_cents").rows() == [("12", "Tea", 250)]
        assert found.reasons() == {"item_id: empty": 1}


def test_unknown_columns_are_taken_along_and_personal_ones_stay_in_the_file() -> None:
    made = mapped("purchases", ["order_id", "sku", "customer_id", "date", "qty", "unit_price", "Channel", "E-Mail"], {})

    assert made.extra == ("Channel",)
    assert made.personal == ("E-Mail",)


def test_a_mapping_file_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mapping.json"
    for stated, told in (
        ({"orders": {}}, "one of items"),
        ({"items": {"colums": {}}}, "keys "),
        ({"items": {"columns": {"sku": "x"}}}, "fields "),
        ({"items": {"time_zone": "Mars/Base"}}, "Europe/Berlin"),
    ):
        path.write_text(json.dumps(stated))
        with pytest.raises(InvalidInput, match=told):
            read_mapping(path)


def test_a_clickstream_without_ids_gets_them_from_its_rows_and_its_items_from_columns(tmp_path: Path) -> None:
    text = "timestamp,event,visitorid,sku,price\n2026-01-01T10:00:00Z,Product Added,v,7,1.99\n"

    _, rows = read(tmp_path, "clicks.csv", text, "events")
    row = rows.to_dicts()[0]

    assert row["event_name"] == "add_to_cart"
    assert json.loads(row["items"]) == [{"item_id": "7", "price_cents": 199}]
    assert row["session_id"] == "v.20260101"
    assert len(row["event_id"]) == 32


GA4 = {
    "event_date": "20260101",
    "event_timestamp": 1767268800000000,
    "event_name": "select_item",
    "event_params": [
        {"key": "ga_session_id", "value": {"string_value": None, "int_value": 31}},
        {"key": "item_list_id", "value": {"string_value": "pdp_similar", "int_value": None}},
    ],
    "user_pseudo_id": "browser.1",
    "user_id": None,
    "items": [{"item_id": "881", "price": 59.9, "quantity": 1, "item_list_index": "0", "item_list_id": "(not set)"}],
}


def test_a_ga4_export_row_becomes_our_event_and_page_views_are_ignored(tmp_path: Path) -> None:
    lines = [GA4, {**GA4, "event_name": "page_view"}, {**GA4, "event_name": "purchase", "items": [{"item_id": None}]}]
    lines.append({**GA4, "event_params": 5})

    found, rows = read(tmp_path, "ga4.jsonl", "".join(json.dumps(line) + "\n" for line in lines), "events")
    row = rows.to_dicts()[0]

    assert (found.rows, found.good, found.ignored) == (4, 1, 1)
    assert found.reasons() == {"not a row of the GA4 export": 1, "items: not a list of objects with item_id": 1}
    assert row["event_time"] == datetime(2026, 1, 1, 12)
    assert (row["visitor_id"], row["session_id"], row["item_list_id"]) == ("browser.1", "browser.1.31", "pdp_similar")
    assert json.loads(row["items"]) == [{"item_id": "881", "quantity": 1, "price_cents": 5990, "index": 0}]


def test_a_ga4_row_has_the_same_id_from_parquet_and_json_lines(tmp_path: Path) -> None:
    pl.DataFrame([GA4]).with_columns(pl.col("user_id").cast(pl.String)).write_parquet(tmp_path / "source.parquet")

    _, lines = read(tmp_path, "ga4.jsonl", json.dumps(GA4), "events")
    _, columns = read(tmp_path, "ga4.parquet", (tmp_path / "source.parquet").read_bytes(), "events")

    assert lines.rows() == columns.rows()


ROWS = [
    "2026-01-01T10:00:00Z,view_item,v,7,1.99",
    "2026-01-01T10:00:00Z,view_item,v,7,1.99",
    "2026-01-02 10:00:00,search,w,,",
    "1767268800,Product Added,u,8,0.10",
    "never,view_item,v,7,1.99",
    "2026-01-01,scroll,v,7,1.99",
    "2026-01-01,view_item,v,7",
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(ROWS), size=st.integers(1, 8))
def test_however_a_file_is_shuffled_and_cut_its_rows_are_the_same(tmp_path: Path, order: list[str], size: int) -> None:
    text = "timestamp,event,visitorid,sku,price\n"

    _, straight = read(tmp_path, "clicks.csv", text + "\n".join(ROWS), "events")
    found, rows = read(tmp_path, "clicks.csv", text + "\n".join(order), "events", rows_at_once=size)

    assert sorted(rows.rows(), key=repr) == sorted(straight.rows(), key=repr)
    assert sorted(found.reasons()) == [
        "4 columns, the head has 5",
        "event_name: none that we know",
        "event_time: not a time",
    ]
    assert {order[reject.row_number - 2] for reject in found.rejects()} == set(ROWS[4:])


def test_a_key_that_turns_up_late_in_json_lines_is_named_and_not_lost_in_silence(tmp_path: Path) -> None:
    item = {"sku": "1", "name": "Tea", "category": "Drinks", "price": 2}
    text = "".join(json.dumps(row) + "\n" for row in (item, {**item, "origin": "Assam"}))

    found, rows = read(tmp_path, "items.jsonl", text, "items", rows_at_once=1)

    assert found.late == ["origin"]
    assert rows.height == 2
