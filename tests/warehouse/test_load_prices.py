"""A unit price is never taken for a line's total, by whatever name it comes; nor the other way round."""

from __future__ import annotations

import json
import textwrap
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recommender.errors import InvalidInput

from tests.warehouse.shop import deliver, deliver_items, order_line, rows_of
from tests.warehouse.test_load_rows import NOW, read
from warehouse.connect import Warehouse
from warehouse.day.day import DayRun, run_day
from warehouse.load.delivery import Delivery, load_delivery
from warehouse.load.mapping import read_mapping

HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID"
DAY = date(2026, 3, 2)


def cents(folder: Path, column: str, quantity: str, price: str, stated: dict[str, Any] | None = None) -> int:
    text = f"order_id,item_id,shopper_id,purchased_at,quantity,{column}\no,i,s,2026-01-01,{quantity},{price}\n"
    _, rows = read(folder, "orders.csv", text, "purchases", stated=stated or {})
    (found,) = rows["price_cents"].to_list()
    return int(found)


@pytest.mark.parametrize("column", ["unit_price", "UnitPrice", "Unit Price", "price_per_unit", "unit_price_tax_incl"])
def test_a_unit_price_is_never_taken_for_a_line_total(tmp_path: Path, column: str) -> None:
    assert cents(tmp_path, column, "6", "2.55") == 6 * 255


@pytest.mark.parametrize("column", ["line_total", "LineTotal", "row_total", "item_revenue", "extended_price"])
def test_a_line_total_is_not_multiplied(tmp_path: Path, column: str) -> None:
    assert cents(tmp_path, column, "6", "15.30") == 1530


@pytest.mark.parametrize(
    "column", ["price", "amount", "revenue", "total", "Item Price", "sales_value", "total_price", "price_cents"]
)
def test_a_name_that_may_be_either_is_refused_until_the_mapping_states_which(tmp_path: Path, column: str) -> None:
    with pytest.raises(InvalidInput, match=f"which of the two .*{column}.* is: unit_price_cents"):
        cents(tmp_path, column, "6", "2")

    in_cents = {"price_unit": "units"}
    assert cents(tmp_path, column, "6", "2", {"columns": {"unit_price_cents": column}, **in_cents}) == 1200
    assert cents(tmp_path, column, "6", "2", {"columns": {"line_total_cents": column}, **in_cents}) == 200


def test_both_prices_of_a_line_are_one_too_many_and_raws_own_column_is_neither(tmp_path: Path) -> None:
    path = tmp_path / "mapping.json"
    for columns, said in [
        ({"unit_price_cents": "a", "line_total_cents": "b"}, "exactly one"),
        ({"price_cents": "a"}, "which is it"),
    ]:
        path.write_text(json.dumps({"purchases": {"columns": columns}}))
        with pytest.raises(InvalidInput, match=said):
            read_mapping(path)
    both = "order_id,item_id,shopper_id,purchased_at,quantity,unit_price,line_total\no,i,s,2026-01-01,6,2,12\n"
    with pytest.raises(InvalidInput, match="one of them"):
        read(tmp_path, "both.csv", both, "purchases")
    _, rows = read(tmp_path, "both.csv", both, "purchases", stated={"columns": {"line_total_cents": "line_total"}})
    assert rows["price_cents"].to_list() == [1200]


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [
        ("3", "0.333", 100),  # 99.9 cents: rounded once, of the line
        ("6", "2.555", 1533),
        ("1", "1.005", 101),  # 100.49999… in binary, half a cent up
        ("80995", "2.08", 80995 * 208),
        ("1", "0.001", 0),
    ],
)
def test_parts_of_a_cent_are_rounded_once_a_line(tmp_path: Path, quantity: str, price: str, expected: int) -> None:
    assert cents(tmp_path, "unit_price", quantity, price) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.integers(1, 99_999), st.integers(0, 10**7))
def test_a_line_is_its_units_times_the_price_of_one_to_the_cent(tmp_path: Path, quantity: int, unit: int) -> None:
    assert cents(tmp_path, "unit_price", f"{quantity}", f"{unit // 100}.{unit % 100:02}") == quantity * unit


def test_the_sum_over_the_lines_of_a_file_is_the_sum_of_order_lines_to_the_cent(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    lines = [  # quantity, unit price, shopper; the second repeats the item of the first, as invoices do
        ("536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850.0", 6 * 255),
        ("536365,85123A,HOLDER,4,12/1/2010 8:26,2.55,17850.0", 4 * 255),
        ("536365,71053,LANTERN,6,12/1/2010 8:26,3.39,17850", 6 * 339),
        ("536366,22633,WARMER,80995,12/1/2010 8:28,1.85,13047", 80995 * 185),
        ("C536379,D,Discount,-1,12/1/2010 9:41,27.50,14527", 0),  # a return: refused, and told
    ]
    deliver_items(warehouse, "85123A", "71053", "22633")
    path = tmp_path / "online_retail.csv"
    path.write_text("\n".join([HEAD, *(line for line, _ in lines)]))

    outcome = load_delivery(warehouse.connection, Delivery("purchases", path, NOW, {"date_order": "month_first"}))
    run_day(warehouse.connection, DAY)

    assert outcome.reasons == {"quantity: below 0; a return is loaded as a refund event (docs/data.md)": 1}
    query = "select sum(quantity), sum(price_cents), count(distinct shopper_id) from marts.order_lines"
    assert rows_of(warehouse, query) == [(6 + 4 + 6 + 80995, sum(price for _, price in lines), 2)]
    assert rows_of(warehouse, query.replace("marts.order_lines", "exports.purchases_v1")) == rows_of(warehouse, query)


def test_a_purchase_events_price_is_of_one_unit_in_a_flat_row_in_nested_items_and_in_ours(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    deliver_items(warehouse, "A")
    flat = tmp_path / "flat.csv"
    flat.write_text(
        "event_name,event_time,visitor_id,transaction_id,item_id,quantity,price\n"
        "purchase,2026-03-01T10:00:00Z,v,flat,A,3,10.00\n"
    )
    nested = tmp_path / "nested.jsonl"
    event = {"event_name": "purchase", "event_time": "2026-03-01T10:00:00Z", "visitor_id": "v"}
    items = [{"item_id": "A", "quantity": 3, "price": 10.0}], [{"item_id": "A", "quantity": 3, "price_cents": 1000}]
    nested.write_text(
        "".join(
            json.dumps({**event, "transaction_id": f"nested {n}", "items": of}) + "\n" for n, of in enumerate(items)
        )
    )

    for path in (flat, nested):
        load_delivery(warehouse.connection, Delivery("events", path, NOW))
    run_day(warehouse.connection, DAY)

    lines = rows_of(warehouse, "select order_id, quantity, price_cents from marts.order_lines order by 1")
    assert lines == [(order, 3, 3 * 1000) for order in ("flat", "nested 0", "nested 1")]


def paid(warehouse: Warehouse, quantity: int, price_cents: int) -> DayRun:
    """A day on which ten lines of tea, which is 200 in the catalogue, are paid for like this."""
    deliver_items(warehouse, "tea")
    lines = [
        order_line(f"o{n}", "tea", "2026-03-01T10:00:00", quantity=quantity, price_cents=price_cents) for n in range(10)
    ]
    deliver(warehouse, "purchases", lines, loaded_at="2026-03-02T02:00:00")
    return run_day(warehouse.connection, DAY)


@pytest.mark.parametrize(
    ("quantity", "price_cents", "told"),
    [
        (6, 200, "paid_prices_low: 0.1667 times the catalogue's price, at least 0.3 expected"),  # of one, as the total
        (6, 6 * 1200, "paid_prices_high: 6 times the catalogue's price, at most 1.5 expected"),  # total, as of one
        (6, 6 * 200, ""),
        (6, 6 * 100, ""),  # a sale
    ],
)
def test_what_was_paid_for_a_unit_far_from_its_catalogue_price_is_told(
    warehouse: Warehouse, quantity: int, price_cents: int, told: str
) -> None:
    warnings = paid(warehouse, quantity, price_cents).warnings

    assert [text for text in warnings if text.startswith("paid_prices")] == ([told] if told else [])


def test_the_example_of_the_documents_loads_what_was_paid_for_each_line(warehouse: Warehouse, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()
    mapping, orders = tmp_path / "mapping.json", tmp_path / "orders.csv"
    mapping.write_text(text.split("```json\n")[1].split("```")[0])
    shown = text.split("    $ cat orders.csv\n")[1].split("    $ recommender")[0]
    orders.write_text(textwrap.dedent(shown))

    delivery = Delivery("purchases", orders, NOW, read_mapping(mapping)["purchases"])
    outcome = load_delivery(warehouse.connection, delivery)

    assert (outcome.loaded, outcome.rejected) == (2, 1)
    assert rows_of(warehouse, "select order_id, quantity, price_cents from raw.purchases order by 1") == [
        ("536365", 6, 6 * 255),
        ("536366", 6, 6 * 339),
    ]
    assert all(f"    purchases: {line}\n" in text for line in outcome.mapping)
