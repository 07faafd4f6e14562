"""The warehouse command: what it plans, what it prints, what it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.warehouse import __main__ as warehouse
from benchmarks.warehouse.runs import schedule
from warehouse.sources.synthetic_shop import Shop


def test_days_are_measured_at_the_end_of_each_third_and_nothing_is_left_out() -> None:
    shop = Shop(300_000, 1095)
    planned = schedule(shop)

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
    assert result["increment"]["cpu_last_over_first"] > 0
    assert [year["events_behind"] for year in result["years"]] == sorted(
        year["events_behind"] for year in result["years"]
    )
    assert result["years"][0]["steps"].keys() >= {"load", "marts/carts.sql", "checks", "commit"}
    assert result["rows"]["marts.impressions"] > result["rows"]["raw.purchases"] > 0
    assert {line["reached"] for line in result["targets"]} == {None}  # asked of thirty million events, not of these
    assert result["peak_memory_mb"] > 0
    assert json.loads((tmp_path / "warehouse.json").read_text()) == result
    assert "Steps of such a day" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "day_by_history.png").is_file()


def test_a_target_is_reached_or_not_only_by_a_run_of_the_size_that_was_asked() -> None:
    measured = {
        "bulk": {"events_per_second": 350_000},
        "increment": {"events": 100_000, "cpu_last_over_first": 1.2, "wall_last_over_first": 1.6},
        "years": [{"seconds": 20.0}, {"seconds": 61.0}, {"seconds": 32.0}],
    }
    small = warehouse.targets(measured, 6_000, Shop(3_000_000, 1095))
    whole = warehouse.targets(measured, 6_000, Shop(30_000_000, 1095))

    assert [line["measured"] for line in whole] == [350_000, 61.0, 1.2, 1.6, 6_000]
    assert [line["reached"] for line in whole] == [True, False, True, False, True]
    assert [line["reached"] for line in small] == [None] * 5


def test_a_history_that_is_too_short_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert warehouse.main(["--days", "3"]) == 2
    assert "12 days" in capsys.readouterr().err
