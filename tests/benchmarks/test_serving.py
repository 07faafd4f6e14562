"""The serving command: every kind of visitor is measured, and the digest tells whether the pages are the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recommender.adapters.folder import FolderArtifacts

from benchmarks.serving.__main__ import main, run_use_case
from benchmarks.serving.requests import MIX
from benchmarks.serving.visitors import KINDS
from benchmarks.serving.whole import ROUNDS
from tests.adapters.bundle_files import publish_tiny


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    publish_tiny(FolderArtifacts(folder), tmp_path_factory.mktemp("files"))
    return folder


def test_the_last_line_holds_the_cost_of_a_page_for_every_kind_of_visitor(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--artifacts", str(artifacts), "--items", "0", "--pages", "8", "--out", str(tmp_path)])

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert result["label"] == "simulated visitors"
    assert set(result["stages"]) == {"state", "rank", "assemble"}
    assert [name for name in result["by_visitor"] if result["by_visitor"][name]["cpu_ms_p50"] > 0] == list(KINDS)
    assert result["handler"]["cpu_ms_p99"] >= result["handler"]["cpu_ms_p50"]
    report = (tmp_path / "report.html").read_text()
    assert "The whole function, from API Gateway" in report

    local = result["bundles"]["local"]
    handler = local["handler"]
    assert set(result["bundles"]) == {"local"}
    assert (local["items"], local["requests"]) == (240, ROUNDS * len(MIX))
    assert 0.0 < handler["over_numpy"]["low"] <= handler["over_numpy"]["value"] <= handler["over_numpy"]["high"]
    assert handler["over_use_case"]["value"] > 0.0
    assert 0.0 < handler["cpu_ms_p50"] <= handler["cpu_ms_p95"] <= handler["cpu_ms_p99"]
    assert local["answer_bytes"] > 1_000


def test_the_same_code_gives_the_same_pages_and_other_visitors_other_ones(artifacts: Path, tmp_path: Path) -> None:
    store = FolderArtifacts(artifacts)

    first, again, others = (run_use_case(store, tmp_path, 4, seed)["answers"] for seed in (1, 1, 2))

    assert first == again
    assert first != others


def test_what_cannot_be_measured_is_refused(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--artifacts", str(artifacts), "--pages", "1"]) == 2
    assert "--pages" in capsys.readouterr().err
    assert main(["--artifacts", str(artifacts), "--items", "20"]) == 2
    assert "--items is 20, expected at least 500, or 0" in capsys.readouterr().err
    assert main(["--artifacts", str(tmp_path)]) == 2
    assert f"--artifacts is '{tmp_path}'" in (told := capsys.readouterr().err)
    assert "run `make run` first" in told
