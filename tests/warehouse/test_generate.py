"""The command that writes a synthetic history, to files and into a warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from warehouse.__main__ import main
from warehouse.connect import open_local
from warehouse.engine.statements import execute

SIZE = ["--events", "900", "--days", "34", "--shoppers", "30", "--items", "40", "--seed", "3"]


def _rows(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    rows: dict[str, int] = json.loads(capsys.readouterr().out)["rows"]
    return rows


def test_files_hold_the_rows_that_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", *SIZE, "--out", str(tmp_path / "history")]) == 0
    rows = _rows(capsys)

    assert rows["shoppers"] == 30
    for table, count in rows.items():
        files = list((tmp_path / "history").glob(f"{table}_*.parquet"))
        assert sum(pl.read_parquet(path).height for path in files) == count > 0 or table == "reviews"


def test_a_warehouse_has_them_in_its_marts_and_a_second_call_adds_nothing(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", *SIZE, "--database", str(database)]) == 0
    rows = _rows(capsys)
    assert main(["generate", *SIZE, "--database", str(database)]) == 0
    again = _rows(capsys)

    assert set(again.values()) == {0}
    with open_local(database) as warehouse:
        loaded, shown, sessions, runs = execute(
            warehouse.connection,
            "select (select count(*) from raw.events), (select count(*) from marts.impressions),"
            " (select count(*) from marts.sessions), (select count(*) from ops.runs where status = 'done')",
        )[0]
    assert loaded == rows["events"]
    assert shown > sessions > 0
    assert runs == 2


@pytest.mark.parametrize(("option", "value"), [("--events", "0"), ("--days", "0"), ("--lists", "5")])
def test_a_history_without_size_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert main(["generate", option, value, "--out", str(tmp_path)]) == 1
    assert option in capsys.readouterr().err
