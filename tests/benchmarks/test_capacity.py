"""The capacity page: arithmetic on the kept run, and nothing in it that the run does not say."""

from __future__ import annotations

import json

import pytest

from benchmarks.capacity import PAGE, Assumptions, Capacity, Measured, Prices, measured, render
from benchmarks.document import RESULTS

ROW = Measured(rows=2_000_000, events=1_000_000, cpu_seconds=40.0, bytes_a_row=200.0)


def test_the_page_in_docs_is_the_page_of_the_kept_run() -> None:
    result = json.loads((RESULTS / "warehouse.json").read_text(encoding="utf-8"))

    assert PAGE.read_text(encoding="utf-8") == render(result)


def test_a_row_costs_what_the_bulk_took() -> None:
    result = {
        "bulk": {"events": 900, "cpu_seconds": 2.0, "marts_cpu_seconds": 8.0},
        "rows": {"raw.events": 1_000, "marts.impressions": 1_100},
        "database_mb": 0.42,
    }
    row = measured(result)

    assert row.rows == 900 + 990  # nine tenths of the impressions
    assert row.rows_a_cpu_second == 189  # in 2 + 8 seconds
    assert row.bytes_a_row == pytest.approx(200)  # 420,000 bytes by 2,100 rows


def test_a_day_is_the_visits_with_their_lists() -> None:
    day = Capacity(ROW, Assumptions(shoppers=1_000_000, visits_a_year=36.5, lists_a_visit=0))

    assert day.visits == pytest.approx(100_000 / 0.72)
    assert day.impressions == 0
    assert day.events == pytest.approx(100_000 / 0.72 * 4.89)
    assert day.landed_gb == pytest.approx(day.events * 450 / 1e9)
    # each row twice, at 50,000 rows a CPU second
    assert day.core_minutes == pytest.approx(2 * day.events / 50_000 / 60)
    assert day.stored_tb == pytest.approx(day.events * 1095 * 200 * 1.3 / 1e12)


def test_credits_are_minutes_of_a_warehouse_and_dollars_are_credits() -> None:
    price = Prices(credit=2.0)
    found = Capacity(ROW, Assumptions(lists_a_visit=0, clustering_credits=0.0, statements=0), price)

    assert found.run_minutes == pytest.approx(found.core_minutes / 16 * 4)
    assert found.credits["copy"] == pytest.approx(1 / 60)  # a minute of XS
    assert found.credits["reading"] == pytest.approx(1.0)  # half an hour of S
    assert found.credits["run"] == pytest.approx(found.run_minutes / 60 * 2)
    assert found.dollars["compute"] == pytest.approx(60 * sum(found.credits.values()))
    assert found.dollars["airflow"] == pytest.approx(730 * 0.49)
