"""Whatever happened to the marts in between, exports written bit by bit are those written at once, byte for byte."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recommender.contracts.exports import EXPORTS, read_whole_export

from tests.warehouse.shop import deliver_items, rows_of
from warehouse.connect import Warehouse, open_local
from warehouse.day.day import run_day
from warehouse.export import unload as ways_out
from warehouse.export.export_store import folder_root
from warehouse.export.parts import Cut
from warehouse.export.parts import rows_of as rows_clause
from warehouse.export.unload import ArrowUnloader, unload

NOW = datetime(2026, 3, 1)
START = datetime(2025, 12, 30)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def shop(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("changing")
    shutil.copy(empty_database, folder)
    with open_local(folder) as warehouse:
        deliver_items(warehouse, "tea", "jam")
        run_day(warehouse.connection, NOW.date())
        yield warehouse


# (what happens, to which order, on which of 70 days over four months)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["order", "correct", "erase", "browse"]), st.integers(0, 5), st.integers(0, 69)),
    min_size=1,
    max_size=6,
)


def change(shop: Warehouse, kind: str, number: int, day: int) -> None:
    """A change of the marts, as a day's run makes them."""
    when = START + timedelta(days=day, hours=number)
    if kind == "order":
        line = f"'o{next(NUMBERS)}', 'tea', 's{number}', '{when}', 1, 200, 0, '{NOW}'"
        rows_of(shop, f"insert into marts.order_lines select {line}")
    elif kind == "correct":
        rows_of(shop, f"update marts.order_lines set quantity = quantity + 1 where shopper_id = 's{number}'")
    elif kind == "erase":
        for table in ("order_lines", "session_events"):
            rows_of(shop, f"delete from marts.{table} where shopper_id = 's{number}'")
    else:
        columns = "event_id, position, session_id, shopper_id, event_name, event_time, item_id, derived, loaded_at"
        seen = f"'e{next(NUMBERS)}', 0, 'v{number}', 's{number}', 'view_item', '{when}', 'jam', false, '{NOW}'"
        rows_of(shop, f"insert into marts.session_events ({columns}) select {seen}")


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nights=st.lists(CHANGES, min_size=1, max_size=3))
def test_exports_written_bit_by_bit_are_those_written_at_once(
    shop: Warehouse, tmp_path: Path, nights: list[list[tuple[str, int, int]]]
) -> None:
    root = tmp_path / "exports"
    for changes in nights:
        for kind, number, day in changes:
            change(shop, kind, number, day)
        bit_by_bit = unload(shop.connection, shop.unloader, root, source="test", now=NOW)

    at_once = unload(shop.connection, shop.unloader, tmp_path / "full", source="test", now=NOW, full=True)

    assert bit_by_bit == at_once
    assert read_whole_export(root) == at_once  # every hash is that of the bytes that are there


class Batches(ArrowUnloader):
    """Rows that come in batches of these sizes."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        first = 0
        for size in self._sizes:
            ids = pa.array([f"s{number:03}" for number in range(first, first + size)])
            yield pa.record_batch({"SHOPPER_ID": ids, "ATTRIBUTES": pa.array(["{}"] * size)})
            first += size


def test_the_batches_of_the_engine_do_not_show_in_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways_out, "ROWS_PER_GROUP", 10)
    cut = Cut("shoppers", "all", EXPORTS["shoppers"], 35, "35:1:1")

    hashes = set()
    for sizes in ((35,), (10, 10, 10, 5), (1, 33, 1), (7, 7, 7, 7, 7)):
        with folder_root(tmp_path / "exports") as root:
            (part,) = Batches(*sizes).write(cut, root)
            assert part.rows == 35
            hashes.add(part.sha256)

    assert len(hashes) == 1


def test_a_month_is_a_range_of_times_also_at_the_turn_of_the_year() -> None:
    assert "timestamp '2025-12-01 00:00:00' and purchased_at < timestamp '2026-01-01 00:00:00'" in rows_clause(
        "purchases", "2025-12"
    )
    assert "where" not in rows_clause("items", "all")
