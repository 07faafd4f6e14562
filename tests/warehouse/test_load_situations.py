"""What real files look like: spreadsheets of other countries, tools' habits, files that broke on their way."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recommender.errors import InvalidInput

from tests.warehouse.test_load_rows import GA4, NOW, read
from warehouse.load.__main__ import main
from warehouse.load.delivery import Delivery, read_delivery
from warehouse.load.files import find

HEAD = "order_id,sku,customer_id,date,qty,unit_price"
ROW = {"order_id": "1", "sku": "a", "customer_id": "s", "date": "2026-01-01", "qty": "1", "unit_price": "2.55"}


def orders(folder: Path, stated: dict[str, Any] | None = None, **values: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The row that a CSV file with these values gives, or the reasons why it gives none."""
    out = io.StringIO()
    csv.writer(out).writerows([HEAD.split(","), list({**ROW, **values}.values())])
    found, rows = read(folder, "orders.csv", out.getvalue(), "purchases", stated=stated or {})
    return rows.to_dicts(), list(found.reasons())


@pytest.mark.parametrize(
    ("text", "separator", "cents"),
    [
        ("2.55", "", 255),
        ("€ 2.55", "", 255),
        ("1 299.00", "", 129_900),
        ("1\u00a0299.00", "", 129_900),
        ("1'299.00", "", 129_900),
        ("2,55", ",", 255),
        ("1.299,50", ",", 129_950),
        ("1 299,50 €", ",", 129_950),
        ("12", ",", 1_200),
        ("1,299.50", ".", 129_950),
        ("1,299", ".", 129_900),
    ],
)
def test_a_price_is_read_as_its_country_writes_it(tmp_path: Path, text: str, separator: str, cents: int) -> None:
    rows, _ = orders(tmp_path, {"decimal_separator": separator} if separator else {}, unit_price=text)

    assert [row["price_cents"] for row in rows] == [cents]


@pytest.mark.parametrize(
    ("values", "stated", "reason"),
    [
        (
            {"unit_price": "2,55"},
            {},
            "unit_price_cents: is the comma a decimal one? State decimal_separator in the mapping",
        ),
        ({"unit_price": "2.55"}, {"decimal_separator": ","}, "unit_price_cents: not an amount of 0 or more"),
        ({"unit_price": "-1"}, {}, "unit_price_cents: not an amount of 0 or more"),
        ({"unit_price": "inf"}, {}, "unit_price_cents: not an amount of 0 or more"),
        ({"qty": "-1"}, {}, "quantity: below 0; a return is loaded as a refund event (docs/data.md)"),
        ({"date": "1/12/2010 8:26"}, {}, "purchased_at: which is the day and which the month? State date_order"),
        ({"date": "13/12/2010"}, {"date_order": "month_first"}, "purchased_at: not a time"),
        ({"date": "10-01-05"}, {}, "purchased_at: not a time"),
        ({"date": "2026-03-29 02:30"}, {"time_zone": "Europe/Berlin"}, "purchased_at: not a time"),
        ({"date": "2026-03-02T12:06:00Z"}, {}, "purchased_at: in the future"),
        ({"sku": "\u200b\u00a0"}, {}, "item_id: empty"),
        ({"sku": "x" * 129}, {}, "item_id: longer than 128 characters"),
    ],
)
def test_what_could_mean_two_things_or_nothing_is_refused_with_what_to_do(
    tmp_path: Path, values: dict[str, str], stated: dict[str, str], reason: str
) -> None:
    rows, (told,) = orders(tmp_path, stated, **values)

    assert rows == []
    assert told.startswith(reason)


@pytest.mark.parametrize(
    ("text", "stated", "expected"),
    [
        ("1/12/2010 8:26", {"date_order": "day_first"}, datetime(2010, 12, 1, 8, 26)),
        ("1/12/2010 8:26", {"date_order": "month_first"}, datetime(2010, 1, 12, 8, 26)),
        ("1.12.2010", {"date_order": "day_first"}, datetime(2010, 12, 1)),
        ("1/12/2010 8:26:30 PM", {"date_order": "month_first"}, datetime(2010, 1, 12, 20, 26, 30)),
        ("20260101093000", {"time_format": "%Y%m%d%H%M%S"}, datetime(2026, 1, 1, 9, 30)),
        ("1767268800.25", {}, datetime(2026, 1, 1, 12, 0, 0, 250_000)),
        ("1767268800000000000", {}, datetime(2026, 1, 1, 12)),
    ],
)
def test_a_time_is_read_as_the_mapping_says(
    tmp_path: Path, text: str, stated: dict[str, str], expected: datetime
) -> None:
    rows, _ = orders(tmp_path, stated, date=text)

    assert [row["purchased_at"] for row in rows] == [expected]


def test_times_of_several_spellings_stand_in_one_column(tmp_path: Path) -> None:
    times = ["2026-01-01T12:00:00Z", "2026-01-01 13:00:00+01:00", "2026-01-01T07:00-0500", "1767268800"]
    lines = [HEAD, *(f"{place},a,s,{time},1,2" for place, time in enumerate(times))]

    found, rows = read(tmp_path, "orders.csv", "\n".join(lines), "purchases")

    assert found.reasons() == {}
    assert rows["purchased_at"].unique().to_list() == [datetime(2026, 1, 1, 12)]


def test_a_spreadsheets_csv_is_read_with_its_mark_line_ends_quotes_and_blank_rows(tmp_path: Path) -> None:
    text = (
        "\ufeffSKU;Name;;Category;Price\r\n"
        '1;"Tea; ""green""\r\nloose";x;Drinks;2.50\r\n'
        ";;;;\r\n"
        "\r\n"
        "2;\u200b Milk\u00a0;x;Drinks\r\n"
        "3;Bread;x;Food;1.00\r\n"
    )

    found, rows = read(tmp_path, "items.csv", text, "items")

    assert rows.select("item_id", "title").rows() == [("1", 'Tea; "green"\r\nloose'), ("3", "Bread")]
    assert [(reject.row_number, reject.reason) for reject in found.rejects()] == [(5, "4 columns, the head has 5")]
    assert set(rows.columns) == {
        "item_id",
        "title",
        "description",
        "category",
        "brand",
        "price_cents",
        "cost_cents",
    } | {"availability"}


@pytest.mark.parametrize("rows", [1, 2, 3, 1000])
def test_row_numbers_are_those_of_the_spreadsheet_however_the_file_is_cut(tmp_path: Path, rows: int) -> None:
    lines = [
        HEAD,
        "1,a,s,2026-01-01,1,2",
        "",
        "short",
        "2,a,s,never,1,2",
        '"3\n",a,s,2026-01-01,1,2',
        "4,a,s,never,1,2",
    ]

    found, _ = read(tmp_path, "orders.csv", "\n".join(lines), "purchases", rows_at_once=rows)

    assert sorted(reject.row_number for reject in found.rejects()) == [4, 5, 7]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            HEAD + "\n1,a,s,2026-01-01,1,2\n" + '2,"a,s,2026-01-01,1,2\n3,a,s,2026-01-01,1,2\n',
            "row 3 that is never closed",
        ),
        (HEAD + '\n1,a,s,2026-01-01,1,"2\n3,a,s,2026-01-01,1,2\n', "row 2 that is never closed"),
        (HEAD.replace("sku", "qty") + "\n1,a,s,2026-01-01,1,2\n", "more than one column qty"),
        ("\n1,a,s\n", "without a head"),
        (HEAD + "\n", "without rows"),
        ("", "without rows"),
    ],
)
def test_a_csv_that_is_broken_as_a_whole_is_refused_as_a_whole(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        read(tmp_path, "orders.csv", content, "purchases")


def test_json_lines_with_broken_ones_among_them_keep_the_others_and_an_array_is_told_apart(tmp_path: Path) -> None:
    good = {**ROW, "unit_price": 2.55, "lines": {"a": [1, None]}}
    lines = [json.dumps(good), "{", "", "[1]", json.dumps({**good, "unit_price": "free"})]

    found, rows = read(tmp_path, "orders.jsonl", "\r\n".join(lines), "purchases")

    assert rows.select("price_cents", "lines").rows() == [(255, '{"a": [1, null]}')]
    assert {reject.row_number: reject.reason for reject in found.rejects()} == {
        2: "not a JSON object",
        4: "not a JSON object",
        5: "unit_price_cents: not an amount of 0 or more",
    }
    with pytest.raises(InvalidInput, match="an object a line"):
        read(tmp_path, "orders.json", json.dumps([good]), "purchases")


def test_a_clean_piece_of_json_lines_is_the_same_read_at_once_and_line_by_line(tmp_path: Path) -> None:
    events = [
        {"event": "view", "ts": 1767268800 + place, "visitorid": 7, "x": {"a": 1.5}, "items": [{"item_id": place}]}
        for place in range(3)
    ]
    lines = [json.dumps(event) for event in events]

    _, at_once = read(tmp_path, "events.jsonl", "\n".join(lines), "events")
    _, singly = read(tmp_path, "events.jsonl", "\n".join([*lines, "{"]), "events")

    assert at_once.rows() == singly.rows()


def test_typed_parquet_gives_the_rows_that_the_same_values_give_as_text(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "order_id": pa.array([7, 8, None], pa.int64()),
            "sku": pa.array(["a", "b", "c"]).dictionary_encode(),
            "customer_id": pa.array([17850.0, float("nan"), 1.0]),
            "date": pa.array([moment] * 3, pa.timestamp("ns", "Europe/Berlin")),
            "qty": pa.array([1, 2, 3], pa.int8()),
            "unit_price": pa.array([Decimal("2.55"), Decimal("3.00"), None], pa.decimal128(10, 2)),
            "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
            "paid": pa.array([Decimal("2.50")] * 3, pa.decimal128(10, 2)),
        }
    )
    pq.write_table(table, tmp_path / "source.parquet")

    found, rows = read(tmp_path, "orders.parquet", (tmp_path / "source.parquet").read_bytes(), "purchases")

    first = {"order_id": "7", "item_id": "a", "shopper_id": "17850", "purchased_at": datetime(2026, 1, 1, 12)}
    assert rows.to_dicts() == [{**first, "quantity": 1, "price_cents": 255, "tags": '["x"]', "paid": "2.5"}]
    assert sorted(found.reasons()) == ["order_id: empty", "shopper_id: empty"]


def test_items_are_the_same_from_nested_parquet_json_lines_and_json_in_a_csv_column(tmp_path: Path) -> None:
    items = [
        [
            {"item_id": "7", "quantity": 2, "price": 1.99, "index": None},
            {"item_id": 'ä"', "quantity": None, "price": None},
        ],
        [],
        None,
    ]
    events = [{"event": "add_to_cart", "ts": "2026-01-01", "visitorid": "v", "items": each} for each in items]
    pl.DataFrame(events).write_parquet(tmp_path / "source.parquet")
    text = io.StringIO()
    out = csv.DictWriter(text, list(events[0]))
    out.writeheader()
    out.writerows({**event, "items": event["items"] and json.dumps(event["items"])} for event in events)

    made = [
        read(tmp_path, name, content, "events")[1].rows()
        for name, content in (
            ("e.parquet", (tmp_path / "source.parquet").read_bytes()),
            ("e.jsonl", "\n".join(map(json.dumps, events))),
            ("e.csv", text.getvalue()),
        )
    ]

    assert made[0] == made[1] == made[2]
    assert json.loads(made[0][0][6]) == [
        {"item_id": "7", "quantity": 2, "price_cents": 199, "index": None},
        {"item_id": 'ä"', "quantity": 1, "price_cents": None, "index": None},
    ]


@pytest.mark.parametrize(
    "items",
    [
        "{",
        '{"item_id": 1}',
        "[1]",
        '[{"quantity": 1}]',
        '[{"item_id": 1, "quantity": 0}]',
        '[{"item_id": 1, "price": -1}]',
        '[{"item_id": 1, "quantity": "two"}]',
        json.dumps([{"item_id": 1}] * 201),
    ],
)
def test_items_that_are_none_refuse_their_event_alone(tmp_path: Path, items: str) -> None:
    rows = [
        {"event": "view", "ts": "2026-01-01", "visitorid": "v", "items": each} for each in (items, '[{"item_id":1}]')
    ]

    found, kept = read(tmp_path, "e.jsonl", "\n".join(map(json.dumps, rows)), "events")

    assert found.reasons() == {"items: not a list of objects with item_id": 1}
    assert [json.loads(text)[0]["item_id"] for text in kept["items"]] == ["1"]


def test_the_ga4_export_is_read_packed_from_older_parquet_and_with_every_event_that_a_shop_has(tmp_path: Path) -> None:
    def wrapped(rows: list[Any]) -> dict[str, Any]:
        return {"list": [{"element": row} for row in rows]}

    kinds = ["remove_from_cart", "refund", "view_search_results", "page_view"]
    rows = [
        {
            **GA4,
            "event_name": kind,
            "ecommerce": {"transaction_id": "T9"},
            "event_timestamp": str(GA4["event_timestamp"]),
        }
        for kind in kinds
    ]
    old = [
        {**row, "event_params": wrapped(GA4["event_params"]), "items": wrapped(GA4["items"])}  # type: ignore[arg-type]
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(old), tmp_path / "source.parquet")

    packed, lines = read(tmp_path, "ga4.jsonl.gz", gzip.compress("\n".join(map(json.dumps, rows)).encode()), "events")
    _, columns = read(tmp_path, "ga4.parquet", (tmp_path / "source.parquet").read_bytes(), "events")

    assert lines.rows() == columns.rows()
    assert lines["event_name"].to_list() == ["remove_from_cart", "refund", "search"]
    assert lines["transaction_id"].to_list() == ["T9"] * 3
    assert (packed.rows, packed.ignored) == (4, 1)


def test_returns_are_loaded_as_refund_events_of_their_orders(tmp_path: Path) -> None:
    stated = {
        "columns": {"transaction_id": "InvoiceNo", "item_id": "StockCode", "visitor_id": "CustomerID"},
        "constants": {"event_name": "refund"},
    }
    text = "InvoiceNo,StockCode,Quantity,Date,CustomerID\n536365,85123A,1,2026-01-03,17850\n"

    _, rows = read(tmp_path, "returns.csv", text, "events", stated=stated)

    (row,) = rows.to_dicts()
    assert (row["event_name"], row["transaction_id"], row["visitor_id"]) == ("refund", "536365", "17850")
    assert json.loads(row["items"]) == [{"item_id": "85123A", "quantity": 1}]


def test_two_hits_of_one_batch_are_two_events(tmp_path: Path) -> None:
    rows = [{**GA4, "event_bundle_sequence_id": 5, "batch_event_index": index} for index in (1, 2, 2)]

    _, events = read(tmp_path, "ga4.jsonl", "\n".join(map(json.dumps, rows)), "events")

    assert len(set(events["event_id"])) == 2


def test_a_folder_and_a_pattern_name_its_files_with_the_columns_in_their_paths(tmp_path: Path) -> None:
    for name in ("day=2026-01-02/b.parquet", "day=2026-01-01/a.parquet", "_SUCCESS", "_old/c.parquet", "day=x/.d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    found = find(str(tmp_path))

    assert [(file.name, file.partition) for file in found] == [
        ("day=2026-01-01/a.parquet", {"day": "2026-01-01"}),
        ("day=2026-01-02/b.parquet", {"day": "2026-01-02"}),
    ]
    assert [file.path.name for file in find(str(tmp_path / "*" / "?.parquet"))] == [
        "c.parquet",
        "a.parquet",
        "b.parquet",
    ]
    with pytest.raises(InvalidInput, match="a pattern that files match"):
        find(str(tmp_path / "*.csv"))


def test_a_column_of_the_path_is_a_column_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_id,sku,customer_id,qty,unit_price\n1,a,s,1,2\n")

    found = read_delivery(Delivery("purchases", path, NOW, partition={"date": "2026-01-01"}), tmp_path)

    assert pl.read_parquet(found.parts[0].path)["purchased_at"].to_list() == [datetime(2026, 1, 1)]


def test_refused_rows_written_as_csv_can_be_corrected_and_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "orders.csv", tmp_path / "rejects"
    path.write_text(f"{HEAD}\n1,a,s,2026-01-01,1,2\n2,b,s,never,1,2\n3,c,s\n")
    call = ["--most-rejected", "1", "--loaded-at", "2026-03-02", "--dry-run", "--purchases"]

    assert main([*call, str(path), "--rejects-out", str(out)]) == 0
    written = (out / "orders.csv.rejects.csv").read_text()
    assert sorted(written.splitlines()) == [
        "3,purchased_at: not a time,2,b,s,never,1,2",
        '4,"3 columns, the head has 6",3,c,s',
        f"rejected_row,rejected_reason,{HEAD}",
    ]
    capsys.readouterr()
    (tmp_path / "again.csv").write_text(written.replace("never", "2026-01-02").replace("3,c,s", "3,c,s,2026-01-03,1,2"))

    assert main([*call, str(tmp_path / "again.csv")]) == 0
    (told,) = json.loads(capsys.readouterr().out)["files"]
    assert (told["good"], told["rejected"]) == (2, 0)
    assert not any(line.startswith("taken along") for line in told["mapping"])


@pytest.mark.parametrize(
    "odd",
    [
        pa.array([1, 2], pa.duration("us")),
        pa.array([1, 2], pa.time64("us")),
        pa.array([{"a": 1}, None], pa.struct([("a", pa.int64())])),
        pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
        pa.array([None, None], pa.null()),
        pa.array([b"\xff", b"a"], pa.binary()),
        pa.array([2**63, 1], pa.uint64()),
        pa.array([True, None], pa.bool_()),
    ],
    ids=lambda odd: str(odd.type)[:12],
)
def test_a_column_of_any_type_gives_rows_or_reasons(tmp_path: Path, odd: pa.Array) -> None:
    for name in (*ROW, "more"):
        columns = {**{key: pa.array([value] * 2) for key, value in ROW.items()}, name: odd}
        pq.write_table(pa.table(columns), tmp_path / "source.parquet")

        found, rows = read(tmp_path, "o.parquet", (tmp_path / "source.parquet").read_bytes(), "purchases")

        assert rows.height + sum(found.reasons().values()) == 2
