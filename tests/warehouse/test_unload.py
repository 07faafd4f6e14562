"""Exports are whole or refused; they replace each other in one move."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from recommender.contracts.exports import EXPORTS, MANIFEST, ExportManifest, Part, read_whole_export
from recommender.errors import ArtifactRefused, Conflict

from tests.warehouse.shop import deliver, deliver_items, order_line, rows_of
from training_jobs.environment import Freshness
from training_jobs.exports import read_exports
from warehouse.connect import DATABASE_FILES, Warehouse, open_local
from warehouse.day.day import run_day
from warehouse.export.export_store import Root
from warehouse.export.parts import Cut, schema_of
from warehouse.export.unload import unload

NOW = datetime(2026, 1, 3, 4)


@pytest.fixture(scope="module")
def one_order(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of an order of tea and jam, and its export beside it."""
    folder = tmp_path_factory.mktemp("one-order")
    shutil.copy(empty_database, folder)
    lines = [order_line("o1", "tea", "2026-01-02T08:00:00"), order_line("o1", "jam", "2026-01-02T08:00:00", quantity=2)]
    with open_local(folder) as warehouse:
        deliver_items(warehouse, "tea", "jam")
        deliver(warehouse, "purchases", lines, loaded_at="2026-01-03T02:00:00")
        run_day(warehouse.connection, date(2026, 1, 3))
        export(warehouse, folder / "exports")
    return folder


@pytest.fixture
def warehouse(one_order: Path, tmp_path: Path) -> Iterator[Warehouse]:
    (tmp_path / "database").mkdir()
    shutil.copy(one_order / DATABASE_FILES[0], tmp_path / "database")
    with open_local(tmp_path / "database") as opened:
        yield opened


@pytest.fixture
def root(one_order: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(one_order / "exports", tmp_path / "exports"))


def export(warehouse: Warehouse, root: Path) -> ExportManifest:
    return unload(warehouse.connection, warehouse.unloader, root, source="test", now=NOW)


def test_the_files_have_the_contracts_columns_and_types(root: Path) -> None:
    manifest = read_whole_export(root)

    assert set(manifest.files) == set(EXPORTS)
    for name, entry in manifest.files.items():
        table = pq.read_table(root / entry.parts[0].path)
        assert table.schema.equals(schema_of(name))
        assert table.num_rows == entry.rows
    assert manifest.files["purchases"].rows == 2
    assert (manifest.data_from, manifest.data_until) == ("2026-01-02T08:00:00", "2026-01-02T08:00:00")


def test_the_same_rows_give_the_same_files(warehouse: Warehouse, root: Path) -> None:
    first = read_whole_export(root)

    assert export(warehouse, root) == first


def test_a_truncated_export_is_refused_by_name(root: Path) -> None:
    path = root / read_whole_export(root).files["purchases"].parts[0].path
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(ArtifactRefused, match="altered or cut"):
        read_whole_export(root)


def test_an_export_without_its_manifest_or_with_a_part_of_it_is_refused(root: Path) -> None:
    body = json.loads((root / MANIFEST).read_text())
    del body["files"]["items"]
    (root / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(ArtifactRefused, match="does not list items"):
        read_whole_export(root)

    (root / MANIFEST).unlink()
    with pytest.raises(ArtifactRefused, match=r"manifest\.json cannot be read"):
        read_whole_export(root)


class Breaking:
    """Gives the first export and breaks off at the second."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def write(self, cut: Cut, root: Root) -> tuple[Part, ...]:
        if cut.name == "items":
            raise OSError("no space left on device")
        return self._warehouse.unloader.write(cut, root)


def test_an_unload_that_breaks_off_leaves_the_old_export_and_no_litter(warehouse: Warehouse, root: Path) -> None:
    before = read_whole_export(root)

    with pytest.raises(OSError, match="no space"):
        unload(warehouse.connection, Breaking(warehouse), root, source="test", now=NOW, full=True)

    assert read_whole_export(root) == before
    assert [path.name for path in root.parent.iterdir() if path.name.startswith(".")] == []


class Running:
    """Another session runs a day while the last export is written."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def write(self, cut: Cut, root: Root) -> tuple[Part, ...]:
        if cut.name == "item_popularity":
            run_day(self._warehouse.connection, date(2026, 1, 4))
        return self._warehouse.unloader.write(cut, root)


class Losing:
    """One row fewer than were counted."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def write(self, cut: Cut, root: Root) -> tuple[Part, ...]:
        return tuple(replace(part, rows=max(part.rows - 1, 0)) for part in self._warehouse.unloader.write(cut, root))


def test_exports_that_are_not_of_one_moment_are_not_written(warehouse: Warehouse, root: Path) -> None:
    before = read_whole_export(root)

    with pytest.raises(Conflict, match="a day was run while the exports were written"):
        unload(warehouse.connection, Running(warehouse), root, source="test", now=NOW, full=True)
    with pytest.raises(Conflict, match="purchases of 2026-01 had 2 rows when it was counted and 1 when it was written"):
        unload(warehouse.connection, Losing(warehouse), root, source="test", now=NOW, full=True)

    assert read_whole_export(root) == before


def test_a_manifest_of_another_version_is_refused(root: Path) -> None:
    body = json.loads((root / MANIFEST).read_text())
    (root / MANIFEST).write_text(json.dumps({**body, "version": 3}))

    with pytest.raises(ArtifactRefused, match=r"is of version 3, expected \(1, 2\)"):
        read_whole_export(root)


def test_what_the_warehouse_writes_is_what_training_reads(root: Path) -> None:
    found = read_exports(root, Freshness(date(2026, 1, 4), max_age_days=3))

    assert found.purchases["item_id"].to_list() == ["jam", "tea"]
    assert found.data_until == datetime(2026, 1, 2, 8)


def test_training_says_so_where_the_warehouse_had_no_purchases(warehouse: Warehouse, root: Path) -> None:
    rows_of(warehouse, "truncate table marts.order_lines")
    export(warehouse, root)

    with pytest.raises(ArtifactRefused, match="the warehouse had no purchases"):
        read_exports(root)


def test_a_folder_that_is_no_export_is_not_replaced(warehouse: Warehouse, root: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")

    with pytest.raises(Conflict, match="is not an export"):
        export(warehouse, tmp_path / "home")


def test_only_months_whose_rows_changed_are_written_again(warehouse: Warehouse, root: Path, tmp_path: Path) -> None:
    lines = [order_line("o2", "tea", "2025-12-20T08:00:00"), order_line("o3", "jam", "2025-11-20T08:00:00")]
    deliver(warehouse, "purchases", lines, loaded_at="2026-01-04T02:00:00")
    run_day(warehouse.connection, date(2026, 1, 4))
    first = export(warehouse, root)
    deliver(warehouse, "purchases", [order_line("o4", "tea", "2025-12-21T08:00:00")], loaded_at="2026-01-05T02:00:00")
    run_day(warehouse.connection, date(2026, 1, 5))

    second = export(warehouse, root)

    before, after = (
        {part.partition: part.path for part in manifest.files["purchases"].parts} for manifest in (first, second)
    )
    assert list(after) == ["2025-11", "2025-12", "2026-01"]
    assert {month for month in after if after[month] != before[month]} == {"2025-12"}
    assert second.files["items"] == first.files["items"]
    assert second.processed_until == "2026-01-05T00:00:00"
    # and what was written bit by bit is what a full export writes
    full = unload(warehouse.connection, warehouse.unloader, tmp_path / "full", source="test", now=NOW, full=True)
    assert full == second
    assert read_whole_export(root) == second
