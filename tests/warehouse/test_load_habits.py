"""What shops and tools write for stock, for nobody and for ids; files that are not what their names say; persons."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from recommender.errors import InvalidInput

from tests.warehouse.shop import rows_of
from tests.warehouse.test_load_rows import NOW, read
from warehouse.connect import Warehouse
from warehouse.day.checks import CHECKS
from warehouse.load.__main__ import main
from warehouse.load.delivery import Delivery, load_delivery
from warehouse.load.identities import NO_SHOPPER
from warehouse.load.mapping import SYNONYMS
from warehouse.load.offers import SAYINGS
from warehouse.tables import AVAILABILITIES

ITEMS = "item_id,title,category,price,availability\n"
ORDERS = "order_id,item_id,shopper_id,purchased_at,quantity,unit_price\n"


def availability(folder: Path, *values: str) -> list[str | None]:
    rows = "".join(f'{n},Tea,Drinks,2.00,"{value}"\n' for n, value in enumerate(values))
    _, found = read(folder, "items.csv", ITEMS + rows, "items")
    return [*found["availability"]]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("in_stock", ["instock", "in stock", "In Stock", "IN_STOCK", "in-stock", "12", "3.0", "1 200", "yes", "True"]),
        ("in_stock", ["https://schema.org/InStock", "http://schema.org/InStock", "http://www.schema.org/instock"]),
        ("out_of_stock", ["out-of-stock", "outofstock", "Out of Stock", "0", "-3", "0.0", "no", "FALSE", "Sold out"]),
        ("out_of_stock", ["https://schema.org/OutOfStock", "http://schema.org/SoldOut"]),
        ("preorder", ["preorder", "Pre-Order", "https://schema.org/PreOrder"]),
        ("backorder", ["onbackorder", "https://schema.org/BackOrder"]),
        ("discontinued", ["discontinued", "http://schema.org/Discontinued"]),
    ],
)
def test_availability_is_understood_as_shops_write_it(tmp_path: Path, ours: str, theirs: list[str]) -> None:
    assert availability(tmp_path, *theirs) == [ours] * len(theirs)


def test_every_availability_has_its_words_and_the_check_knows_the_same_ones() -> None:
    (check,) = (check for check in CHECKS if check.name == "item_availabilities")
    assert set(SAYINGS) == set(AVAILABILITIES)
    assert all(f"'{ours}'" in check.query for ours in AVAILABILITIES)
    words = [word for sayings in SAYINGS.values() for word in sayings]
    assert len(words) == len(set(words))


def test_availability_that_nobody_knows_stops_a_load_with_its_words_and_a_mapping_states_them(tmp_path: Path) -> None:
    rows = ITEMS + "".join(f"{n},Tea,Drinks,2.00,{('auf Lager', 'vergriffen')[n % 2]}\n" for n in range(10))

    with pytest.raises(InvalidInput, match=r"'auf Lager' \(5 rows\), 'vergriffen' \(5 rows\)"):
        read(tmp_path, "items.csv", rows, "items")

    many = ITEMS + "".join(f"{n},Tea,Drinks,2.00,word {'x' * 20} {n}\n" for n in range(9))
    with pytest.raises(InvalidInput, match=r"in 9 of 9 rows.*'word x+ 4' \(1 rows\) and 4 more"):
        read(tmp_path, "items.csv", many, "items")

    values = {"values": {"availability": {"auf Lager": "in_stock", "vergriffen": "out_of_stock"}}}
    _, found = read(tmp_path, "items.csv", rows, "items", stated=values)
    assert found["availability"].to_list() == ["in_stock", "out_of_stock"] * 5


def test_a_word_for_nothing_says_nothing_of_stock(tmp_path: Path) -> None:
    assert availability(tmp_path, "NaN", "null", "", "(not set)", "5") == [None, None, None, None, "in_stock"]


def test_a_few_words_that_nobody_knows_stop_nothing(tmp_path: Path) -> None:
    assert availability(tmp_path, *["in stock"] * 39, "perhaps") == ["in_stock"] * 39 + ["perhaps"]


@pytest.mark.parametrize("nobody", ["", *NO_SHOPPER, "NULL", "NaN", "None", "N/A", "\\N", "Guest", "0.0"])
def test_a_word_for_nothing_is_no_shopper(tmp_path: Path, nobody: str) -> None:
    found, rows = read(tmp_path, "o.csv", f"{ORDERS}1,a,{nobody},2026-01-01,1,2\n2,a,ann,2026-01-01,1,2\n", "purchases")

    assert rows["shopper_id"].to_list() == ["ann"]
    assert [reason.split(":")[0] for reason in found.reasons()] == ["shopper_id"]


def test_nobody_is_nobody_in_events_and_reviews_too(tmp_path: Path) -> None:
    _, events = read(
        tmp_path,
        "e.csv",
        "event,time,visitor_id,user_id\nview,2026-01-01,v1,NULL\nview,2026-01-01,(not set),u\n",
        "events",
    )
    assert events.select("visitor_id", "user_id").rows() == [("v1", None), ("u", "u")]

    _, reviews = read(tmp_path, "r.csv", "id,sku,rating,customer_id\n1,a,5,guest\n", "reviews")
    assert reviews["shopper_id"].to_list() == [None]


def test_the_words_for_nobody_are_an_option(tmp_path: Path) -> None:
    text = f"{ORDERS}1,a,0,2026-01-01,1,2\n2,a,WALK-IN,2026-01-01,1,2\n"

    _, rows = read(tmp_path, "o.csv", text, "purchases", stated={"no_shopper": ["walk-in"]})

    assert rows["shopper_id"].to_list() == ["0"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "text.jsonl", "parquet"])
def test_an_id_that_looks_like_a_float_is_the_whole_number_in_every_format(tmp_path: Path, kind: str) -> None:
    row: dict[str, Any] = {"order_id": 7.0, "item_id": 12.0, "shopper_id": 17850.0, "purchased_at": "2026-01-01"}
    row |= {"quantity": 1, "unit_price": 2}
    out = io.BytesIO()
    pl.DataFrame([row]).write_parquet(out)
    text = {name: str(value) for name, value in row.items()}
    content = {
        "csv": f"{','.join(text)}\n{','.join(text.values())}\n".encode(),
        "jsonl": json.dumps(row).encode(),
        "text.jsonl": json.dumps(text).encode(),
        "parquet": out.getvalue(),
    }[kind]

    _, rows = read(tmp_path, f"orders.{kind}", content, "purchases")

    assert rows.select("order_id", "item_id", "shopper_id").rows() == [("7", "12", "17850")]


def test_an_amount_is_no_quantity(tmp_path: Path) -> None:
    assert not [ours for ours, names in SYNONYMS.items() if "amount" in names]
    text = "order_id,item_id,shopper_id,purchased_at,amount,unit_price\n1,a,s,2026-01-01,40,20\n"
    with pytest.raises(InvalidInput, match="no column for quantity"):
        read(tmp_path, "orders.csv", text, "purchases")


PLAIN = "item_id,title,category,price\nb1,Café,K,1.50\nb2,Tee,K,2.50\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.rstrip().replace("\n", "\r").encode(),
        PLAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.replace("\n", "\r").encode("utf-16"),
        PLAIN.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
        PLAIN.encode("utf-32"),
        f"sep=,\n{PLAIN}".encode(),
        f"sep=;\r\n{PLAIN.replace(',', ';')}".encode("utf-8-sig"),
        f'"sep=|"\n{PLAIN.replace(",", "|")}'.encode(),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_and_encodings_of_other_machines_are_read(tmp_path: Path, content: bytes, packed: bool) -> None:
    name, content = ("items.csv.gz", gzip.compress(content)) if packed else ("items.csv", content)

    found, rows = read(tmp_path, name, content, "items")

    assert rows.select("item_id", "title", "price_cents").rows() == [("b1", "Café", 150), ("b2", "Tee", 250)]
    assert [reject.row_number for reject in found.rejects()] == []


def workbook() -> bytes:
    return b"PK\x03\x04" + bytes(range(256)) * 40


@pytest.mark.parametrize(
    "name", ["items.csv", "items.tsv", "items.jsonl", "items.json", "items.csv.gz", "items.parquet"]
)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        workbook(),
        b"PAR1" + b"\0" * 50,
        b"%PDF-1.7\n" + b"\xe2\xe3" * 40,
        b"\x1f\x8b\x08" + b"\0\1" * 40,
        b"\xd0\xcf\x11\xe0" + b"\1" * 100,
        bytes(range(256)) * 20,
        b'"never closed\n1,2\n',
        b"<html><body>Sign in</body></html>",
        b"a\r" * 3 + b'"\r',
        b"[" * 5000,
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert main(["--items", str(path), "--dry-run"]) == 1

    said = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("load:")]
    assert len(said) == 1


def kept(warehouse: Warehouse, folder: Path, name: str, content: str, table: str = "purchases") -> list[str]:
    path = folder / name
    path.write_text(content)
    load_delivery(warehouse.connection, Delivery(table, path, NOW, most_rejected=1.0))
    return [content for (content,) in rows_of(warehouse, "select content from raw.rejects order by row_number")]


def test_refused_rows_keep_no_e_mail_and_no_name(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = [
        {**dict.fromkeys(ORDERS.strip().split(","), "7"), "purchased_at": "never", **more}
        for more in (
            {"email": "jane@example.com", "Billing Name": "Jane Example", "note": "call jane@example.com"},
            {"customerName": "Jane Example", "FirstName": "Jane", "Phone": "123", "channel": "web"},
            {"customer": json.dumps({"first_name": "Jane", "loyalty": {"e-mail": "jane@example.com", "tier": "gold"}})},
            {"shopper_id": "Jane.Example+1@example.co.uk"},
            {"order_id": "<mailto:jane%40example.com>"},
        )
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    csv.DictWriter(out, columns).writeheader()
    csv.DictWriter(out, columns).writerows(rows)

    in_csv = kept(warehouse, tmp_path, "orders.csv", out.getvalue() + "Jane Example,jane@example.com\n")
    rows_of(warehouse, "delete from raw.rejects")
    nested = [
        {**row, "customer": {"name": "Jane", "tags": ["jane@example.com", {"lastName": "Example"}]}} for row in rows
    ]
    lines = [*map(json.dumps, nested), '{"order_id": 7, "first_name": "Jane"']
    in_json = kept(warehouse, tmp_path, "orders.jsonl", "\n".join(lines))

    assert len(in_csv) == len(rows) + 1
    assert len(in_json) == len(rows) + 1
    whole = " ".join(in_csv + in_json).lower()
    assert "jane" not in whole
    assert "example" not in whole
    assert "web" in in_csv[1]  # what says nothing of a person stays, so that the row can be found
    assert "gold" in in_csv[2]


def test_the_csv_of_refused_rows_that_is_to_be_corrected_has_them_as_they_were(tmp_path: Path) -> None:
    text = ORDERS.replace("\n", ",email\n") + "1,a,jane@example.com,never,1,2,jane@example.com\n"

    read(tmp_path, "orders.csv", text, "purchases", rejects_out=tmp_path / "out")

    (row,) = csv.DictReader((tmp_path / "out" / "orders.csv.rejects.csv").read_text().splitlines())
    assert row["shopper_id"] == "jane@example.com"


def test_of_an_item_that_a_catalogue_has_twice_the_last_row_counts_and_is_told(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "items.csv"
    head = "item_id,title,category,price\n"
    path.write_text(head + "a,Old,K,9.99\nb,Other,K,1.00\na,Middle,K,20.00\na,New,K,2.95\n")

    outcome = load_delivery(warehouse.connection, Delivery("items", path, NOW, rows_at_once=2))

    assert (outcome.loaded, outcome.repeated) == (4, 2)
    assert rows_of(warehouse, "select title, price_cents from staging.item_deliveries where item_id = 'a'") == [
        ("New", 295)
    ]
