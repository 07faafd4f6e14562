"""The page and plots of every benchmark, from results small enough to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from training_jobs.evaluate import plots
from training_jobs.evaluate.plots import Number

NEXT_ITEM: dict[str, Any] = {
    "benchmark": "next_item",
    "data": {"path": "clicks"},
    "methods": {
        "hybrid": {
            "all": {"hr@5": 0.3, "hr@20": 0.5, "mrr@20": 0.2, "coverage@20": 0.4, "popularity@20": 0.8},
            "events_1": {"hr@20": 0.4, "mrr@20": 0.1},
            "events_2": {"hr@20": 0.6, "mrr@20": 0.3},
        },
        "markov": {"all": {"hr@20": 0.25, "mrr@20": 0.1}, "events_1": {"hr@20": 0.2, "mrr@20": 0.1}},
    },
    "intervals": {"hybrid": {"all": {"hr@20": [0.45678, 0.54321]}}},
    "ablation": {"neighbours": {"hr@20": 0.4}, "neighbours and encoder": {"hr@20": 0.5}},
    "curves": {"encoder": {"seed 1": [[10, 3.0], [20, 2.5]], "seed 2": [3.0]}},
    "seeds": [1],
    "machine": {"cores": 2},
}
PURCHASES: dict[str, Any] = {
    "benchmark": "purchases",
    "data": {"name": "shop"},
    "methods": {
        name: {"all": {"recall@20": {"value": value, "low": value - 0.01, "high": value + 0.01}, "margin@10": None}}
        for name, value in (("hybrid", 0.35), ("cohorts", 0.15))
    },
    "intervals": {"hybrid": {"all": {"recall@20": [0.34, 0.36]}}},  # the same once more, as some doors print it
    "ratios": {"all": {"cohorts": {"value": 2.345, "low": 2.2, "high": 2.5}, "popular": None}},
}
SEARCH: dict[str, Any] = {"benchmark": "search", "methods": {"bm25": {"all": {"ndcg@10": 0.5}}}, "cost": {"ms": 1.2}}
SEQUENCES: dict[str, Any] = {"benchmark": "sequences", "methods": {"hybrid": {"all": {"recall@10": 0.0}}}}


@pytest.mark.parametrize("result", [NEXT_ITEM, PURCHASES, SEARCH, SEQUENCES], ids=lambda result: result["benchmark"])
def test_every_door_gets_its_page_plots_and_json(result: dict[str, Any], tmp_path: Path) -> None:
    report.write(result, tmp_path)

    assert json.loads((tmp_path / f"{result['benchmark']}.json").read_text()) == result
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") >= 1 and not any(
        outside in page for outside in ("<script", "src=", 'href="http', "<link")
    )
    assert [path.stem for path in tmp_path.glob("all_*.png")]


def test_the_page_shows_figures_intervals_ablation_and_curves(tmp_path: Path) -> None:
    page = report.render(NEXT_ITEM)

    assert "0.457 to 0.543" in page
    assert "What each part adds" in page and "neighbours and encoder" in page
    assert "As the visit grows" in page and "Training curves" in page
    assert {name for name, _ in report.pictures(NEXT_ITEM)} >= {
        "all_hr_20", "all_mrr_20", "all_coverage_20", "events_hr_20", "ablation_all_hr_20", "curve_encoder_seed 1",
    }  # fmt: skip


def test_ratios_stand_with_their_interval_and_unknown_ones_are_left_out() -> None:
    page = report.render(PURCHASES)

    assert "0.340 to 0.360" in page
    assert "2.345" in page and "2.200 to 2.500" in page
    assert page.count("<td>12 cohorts (incumbent)</td>") == 2  # the table and the ratios


def test_the_main_metric_leads_whatever_the_order_of_the_json() -> None:
    metrics = report.with_intervals(NEXT_ITEM)

    assert list(metrics["hybrid"]["all"])[:2] == ["hr@20", "mrr@20"]
    assert metrics["hybrid"]["all"]["hr@20"] == {"value": 0.5, "low": 0.45678, "high": 0.54321}


def test_a_door_that_ranks_nothing_lays_out_its_own_sections(tmp_path: Path) -> None:
    result = {"benchmark": "off_policy", "label": "simulated", "machine": {"cores": 2}}
    drawn = plots.bars({"ips": Number(0.5, 0.4, 0.6)})
    section = report.Section("Value", "of a policy", ("method", "value"), [("ips", "0.5")], {"values": drawn})

    report.write(result, tmp_path, [section])

    page = (tmp_path / "report.html").read_text()
    assert "<h2>Value</h2>" in page and "<td>ips</td><td>0.5</td>" in page and page.count("<svg") == 1
    assert "Every figure is <strong>simulated</strong>" in page and "ranks the full catalogue" not in page
    assert (tmp_path / "values.png").exists()
