"""The warehouse door: what it plans, what it prints, what it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import warehouse
from warehouse.sources.synthetic_shop import Shop


def test_days_are_measured_at_the_end_of_each_third_and_nothing_is_left_out() -> None:
    shop = Shop(300_000, 1095)
    planned = warehouse.schedule(shop)

    assert planned[0].first == shop.first
    assert planned[-1].last == shop.first + timedelta(days=1095)
    assert all(one.last == other.first for one, other in pairwise(planned))
    assert [(one.first - shop.first).days for one in planned if one.events] == [
        362,
        363,
        364,
        727,
        728,
        729,
        1092,
        1093,
        1094,
    ]
    assert {one.events for one in planned if one.events} == {1_000}


def test_a_small_run_prints_the_figures_and_draws_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert warehouse.main(["--events", "900", "--days", "6", "--repeats", "1", "--out", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out)

    assert result["bulk"]["rows_per_second"] > 0
    assert result["increment"]["events"] == 3
    assert result["increment"]["cost_last_year_over_first"] > 0
    assert [year["events_behind"] for year in result["years"]] == sorted(
        year["events_behind"] for year in result["years"]
    )
    assert result["years"][0]["steps"].keys() >= {"load", "marts/carts.sql"}
    assert result["peak_memory_mb"] > 0
    assert json.loads((tmp_path / "warehouse.json").read_text()) == result
    assert "Steps of such a day" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "day_by_history.png").is_file()


def test_a_history_that_is_too_short_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert warehouse.main(["--days", "3"]) == 2
    assert "12 days" in capsys.readouterr().err
