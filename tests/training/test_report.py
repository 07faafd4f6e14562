"""The evaluation report: one page, nothing outside it, and every figure where it belongs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from training_jobs.evaluate.plots import Number, number
from training_jobs.evaluate.report import gate_of, headline, render, stratum_table, write_report

VOID = {"meta", "link", "img", "br", "hr", "input"}


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def metrics() -> dict[str, Any]:
    recalls = {"hybrid": 0.40, "cohorts": 0.16, "popular": 0.10}
    return {
        "methods": {
            name: {
                "all": {"recall@20": figure(value), "coverage": value / 10, "shoppers": 2400},
                "new": {"recall@20": figure(value / 4)},
            }
            for name, value in recalls.items()
        },
        "by_events": {
            name: {str(step): {"hr@20": figure(value + step / 100)} for step in range(3)}
            for name, value in recalls.items()
        },
        "window": {"data_from": "2025-11-16", "train_until": "2026-10-20", "data_until": "2026-11-17"},
        "derived": ["searches are derived from <real> baskets"],
        "onnx_parity": {"ranker.onnx": {"max_abs_difference": 2e-7}},
        "data_hash": "d" * 64,
    }


CURVES = {"two_tower": {"train_loss": [3.0, 2.0, 1.5], "one_point": [1.0]}}


class Balanced(HTMLParser):
    """Fails on a tag that is closed and was not open, and remembers what is loaded from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.outside += [value for name, value in attrs if name in ("src", "href") and value and value[0] != "#"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [value for name, value in attrs if name in ("src", "href") and value and value[0] != "#"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    path = write_report(metrics(), CURVES, tmp_path / "report")

    page = path.read_text()
    parsed = Balanced()
    parsed.feed(page)
    assert parsed.open == []
    assert parsed.outside == []
    assert not re.search(r"<script|@import|url\(http", page)


def test_the_page_says_what_was_measured() -> None:
    page = render(metrics(), CURVES)

    assert "2.5 ×" in page  # 0.40 / 0.16
    assert "Measured on 2,400 shoppers" in page
    assert "Gate: passed." in page
    assert "Derived data." in page
    assert "searches are derived from &lt;real&gt; baskets" in page
    assert "2.0e-07" in page
    assert "train loss" in page
    assert "one point" not in page  # a curve of one point says nothing
    assert "d" * 64 in page


def test_the_same_figures_give_the_same_page() -> None:
    assert render(metrics(), CURVES) == render(metrics(), CURVES)


def test_sections_without_figures_are_left_out() -> None:
    page = render({"methods": metrics()["methods"]}, {})

    for heading in ("First pageview", "From the first pageview", "Training curves", "ONNX", "Derived data"):
        assert f"<h2>{heading}" not in page
    assert "Derived data." not in page


def test_methods_stand_best_first_and_the_best_figure_is_marked() -> None:
    table = stratum_table(metrics()["methods"], "all")

    assert [row.method for row in table.rows] == ["hybrid", "cohorts", "popular"]
    assert table.metrics == ("recall@20", "coverage")
    assert [row.cells[0].is_best for row in table.rows] == [True, False, False]


def test_a_method_that_was_not_measured_on_a_stratum_is_absent() -> None:
    methods = metrics()["methods"]
    del methods["popular"]["new"]

    assert [row.method for row in stratum_table(methods, "new").rows] == ["hybrid", "cohorts"]


def test_a_refused_gate_shows_its_reasons() -> None:
    found = metrics()
    found["methods"]["hybrid"]["all"]["recall@20"] = 0.05

    page = render(found, {})

    assert "Gate: refused." in page
    assert "expected more than 0.1000 of popular" in page


def test_the_publish_jobs_own_verdict_is_shown_where_it_is_known() -> None:
    verdict = {"passed": True}

    assert gate_of({**metrics(), "gate": verdict}) is verdict
    assert gate_of({"methods": {"hybrid": {}}}) is None


def test_without_the_hybrid_there_is_no_headline() -> None:
    assert headline({"popular": {"all": {"recall@20": 0.1}}}) == []


@pytest.mark.parametrize("entry", [None, float("nan"), True, "0.1", {}, {"value": 0.1, "low": None, "high": 0.2}])
def test_what_is_no_finite_number_is_no_figure(entry: object) -> None:
    assert number(entry) is None


def test_numbers_have_an_interval_where_one_was_given() -> None:
    assert number(0.25) == Number(0.25, 0.25, 0.25)
    assert number(0.25) is not None and not Number(0.25, 0.25, 0.25).has_interval
    assert Number(0.25, 0.24, 0.26).interval == "0.240 to 0.260"
    assert Number(2400, 2400, 2400).text == "2,400"
    assert Number(0.25, 0.25, 0.25).text == "0.2500"
