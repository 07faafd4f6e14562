"""The serving command: every kind of visitor is measured, and the digest tells whether the pages are the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recommender.adapters.folder import FolderArtifacts

from benchmarks.serving.__main__ import KINDS, main, run
from tests.adapters.bundle_files import publish_tiny


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    publish_tiny(FolderArtifacts(folder), tmp_path_factory.mktemp("files"))
    return folder


def test_the_last_line_holds_the_cost_of_a_page_for_every_kind_of_visitor(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--artifacts", str(artifacts), "--pages", "8", "--out", str(tmp_path)])

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert result["label"] == "simulated visitors"
    assert set(result["stages"]) == {"state", "rank", "assemble"}
    assert [name for name in result["by_visitor"] if result["by_visitor"][name]["cpu_ms_p50"] > 0] == list(KINDS)
    assert result["handler"]["cpu_ms_p99"] >= result["handler"]["cpu_ms_p50"]
    assert (tmp_path / "report.html").is_file()


def test_the_same_code_gives_the_same_pages_and_other_visitors_other_ones(artifacts: Path) -> None:
    first, again, others = (run(artifacts, 4, seed)["answers"] for seed in (1, 1, 2))

    assert first == again
    assert first != others


def test_what_cannot_be_measured_is_refused(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--artifacts", str(artifacts), "--pages", "1"]) == 2
    assert "--pages" in capsys.readouterr().err
    assert main(["--artifacts", str(tmp_path)]) == 2
