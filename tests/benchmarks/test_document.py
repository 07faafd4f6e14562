"""The benchmarks page is what the kept results say: no more, no less, no later hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import document
from benchmarks.document import Result

RESULT = {
    "benchmark": "next_item",
    "methods": {
        "markov": {"all": {"hr@20": 0.25, "mrr@20": 0.1}},
        "hybrid": {"all": {"hr@20": 0.5, "mrr@20": 0.2}},
        "implicit_ials": {"all": {"hr@20": 0.3}},
    },
    "intervals": {"hybrid": {"all": {"hr@20": [0.45, 0.55]}}},
    "ratios": {"all": {"markov": {"value": 2.0, "low": 1.9, "high": 2.1}}},
    "curves": {"encoder": [1, 2]},
}
COLUMNS = [("HR@20", "all", "hr@20"), ("MRR@20", "all", "mrr@20")]


def test_a_table_has_the_best_on_top_and_published_rows_below() -> None:
    table = Result(RESULT).table(COLUMNS, intervals=[0], published=[("GCE-GNN", [".542", ".190"])])

    assert table.splitlines() == [
        "| method | HR@20 | MRR@20 |",
        "| --- | --- | --- |",
        "| hybrid | **0.500 [0.450, 0.550]** | **0.200** |",
        "| implicit_ials | 0.300 | – |",
        "| markov | 0.250 | 0.100 |",
        "| *GCE-GNN* | *.542* | *.190* |",
    ]


def test_single_figures_are_read_by_name() -> None:
    result = Result(RESULT)

    assert result.value("hybrid", "all", "mrr@20") == "0.200"
    assert result.value("hybrid", "events_1", "mrr@20") == "–"
    assert result.ratio("all", "markov") == "2.00 [1.90, 2.10]"
    assert result.best("all", "hr@20") == "0.300 (implicit_ials)"
    assert result["ablation"] is None


def test_results_of_a_run_replace_those_kept_and_the_others_stay(tmp_path: Path) -> None:
    reports, results = tmp_path / "reports", tmp_path / "results"
    (reports / "clicks").mkdir(parents=True)
    (reports / "clicks/next_item.json").write_text(json.dumps(RESULT))
    (reports / "evaluation").mkdir()
    (reports / "evaluation/metrics.json").write_text("{}")  # of the evaluation job, not a benchmark
    results.mkdir()
    (results / "older.json").write_text(json.dumps({"benchmark": "search", "methods": {}}))
    (results / "clicks.json").write_text("{}")
    template = tmp_path / "page.md.j2"
    template.write_text(
        '{% for name, r in results.items() %}{{ name }} {{ r.value("hybrid", "all", "hr@20") }}\n{% endfor %}'
    )

    assert document.collect(reports, results) == ["clicks"]
    assert document.render(results, template) == "clicks 0.500\nolder –\n"
    assert "curves" not in json.loads((results / "clicks.json").read_text())


def test_without_any_result_there_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = document.main(["--reports", str(tmp_path / "none"), "--results", str(tmp_path / "kept"), "--out", "page.md"])

    assert code == 2
    assert "no results" in capsys.readouterr().err


def test_the_page_in_docs_is_the_page_of_the_kept_results() -> None:
    assert document.PAGE.read_text(encoding="utf-8") == document.render(document.RESULTS)


def test_the_kept_results_name_no_folder_of_the_machine_they_ran_on() -> None:
    for path in document.RESULTS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "/work" not in text and "/home" not in text and "/tmp" not in text, path.name


def test_a_result_without_methods_has_its_figures_read_by_path() -> None:
    result = Result({"campaigns": {"all": {"ips": {"value": 0.004553, "low": 0.0015, "high": 0.01}}}, "ratio": 1.198})

    assert result.figure("campaigns", "all", "ips", digits=4) == "0.0046 [0.0015, 0.0100]"
    assert result.figure("ratio") == "1.198"
    assert result.figure("campaigns", "none", "ips") == "–"
