"""The report's page: claims first, plots with words and tables beside them, and nothing that needs a network."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.use_cases.report_experiment import report_experiment

from local.aws.signing import KeyPair, verify
from local.experiment_report import main
from local.experiment_report.command import fetch
from local.experiment_report.page import render, sections, write
from local.settings import LocalRunError
from local.web import Request
from tests.use_cases.experiment_days import CONFIG, START, lived

KEYS = KeyPair("LOCALKEY", "secret", "eu-central-1")
SMALL = replace(CONFIG, placements=CONFIG.placements[:2], design=replace(CONFIG.design, boundary=2.4))


def report_of(store: MemoryExperimentStore, config: ExperimentConfig = SMALL, *, days: float = 0) -> dict[str, Any]:
    return report_experiment(config.experiment_id, store=store, now=START + timedelta(days=days))


@cache
def decided() -> dict[str, Any]:
    """Nine days of a variant that is far better: shipped everywhere."""
    return report_of(lived(SMALL, 9, lifts={"hybrid": 0.8}), days=9)


@cache
def decided_page() -> str:
    return page_of(decided())


def page_of(report: dict[str, Any]) -> str:
    return render(report, list(sections(report)))


def killed() -> dict[str, Any]:
    store = lived(SMALL, 2, lifts={})
    snapshot = store.load_snapshot()
    assert snapshot is not None
    flag = f"{SMALL.experiment_id}/hybrid_margin"
    moment = (START + timedelta(days=2, hours=1)).isoformat()
    store.swap_snapshot(replace(snapshot, epoch=snapshot.epoch + 1, created_at=moment, killed=frozenset({flag})))
    return report_of(store, days=3)


EDGES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no_event": (lambda: report_of(lived(SMALL, 0, lifts={})), "no exposure is counted"),
    "one_epoch": (lambda: report_of(lived(SMALL, 1, lifts={}), days=1), "Undecided on day 1"),
    "no_click": (lambda: report_of(lived(SMALL, 1, lifts=dict.fromkeys(SMALL.variants, -1.0)), days=1), "No click yet"),
    "killed_variant": (killed, "exp_default/hybrid_margin from now on: it was killed"),
    "split_off": (lambda: report_of(lived(SMALL, 3, lifts={}, seen={"hybrid": 0.8}), days=3), "Withheld"),
}


@pytest.mark.parametrize("edge", EDGES)
def test_a_report_with_little_in_it_renders_and_says_so(edge: str) -> None:
    make, words = EDGES[edge]

    assert words in page_of(make())


def test_the_page_begins_with_the_decision_then_the_claims() -> None:
    report, page = decided(), decided_page()

    assert f"<h1>{report['headline']}</h1>" in page
    assert report["headline"] == "hybrid serves all 2 placements."
    at = [page.index(words) for words in ("<h1>", "What may be claimed", "What may not be claimed", "Decisions so far")]
    assert at == sorted(at)


def test_the_page_needs_nothing_beside_itself() -> None:
    page = decided_page()

    assert not re.findall(r"<(?:script|link|img|iframe)\b", page)
    fetched = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)|url\(([^)]+)\)|@import""", page)
    assert all((link or style).startswith("#") for link, style in fetched)


def test_every_plot_has_words_and_every_table_headings() -> None:
    page = decided_page()

    plots = re.findall(r'<div class="plot"([^>]*)>', page)
    assert len(plots) >= 9
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', attributes) for attributes in plots)
    assert page.count("<table>") == page.count("<thead>")
    assert '<th scope="row">home_hero</th>' in page


def test_simulated_data_are_said_to_be_simulated() -> None:
    config = replace(SMALL, experiment_id="exp_simulated", salt="simulated")
    report = report_of(lived(config, 1, lifts={}), config, days=1)

    assert report["headline"].startswith("Simulated shoppers.")
    assert "<strong>Simulated.</strong>" in page_of(report)


def test_names_are_escaped() -> None:
    report = {**decided(), "headline": "<script>alert(1)</script>"}

    assert "<script>" not in page_of(report)


def test_the_folder_holds_the_json_the_page_and_each_plot(tmp_path: Path) -> None:
    report = decided()

    page = write(report, tmp_path)

    assert page == tmp_path / "report.html"
    assert json.loads((tmp_path / "report.json").read_text()) == report
    drawn = {picture.name for section in sections(report) for picture in section.pictures}
    assert drawn == {path.stem for path in tmp_path.glob("*.png")}
    assert drawn >= {"lifts", "evidence", "lift_over_days", "traffic_total", "traffic_by_placement", "holdout", "split"}


def test_the_command_draws_a_kept_report_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(EDGES["no_event"][0]()))

    assert main(["--file", str(kept), "--out", str(tmp_path / "out")]) == 0

    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "report.html")


def test_a_file_that_is_no_report_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text("{}")

    assert main(["--file", str(tmp_path / "other.json")]) == 1
    assert "holds no experiment report" in capsys.readouterr().err


def test_a_report_of_another_version_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = {name: value for name, value in EDGES["no_event"][0]().items() if name != "decision"}
    (tmp_path / "older.json").write_text(json.dumps(older))

    assert main(["--file", str(tmp_path / "older.json"), "--out", str(tmp_path)]) == 1
    assert "has no 'decision': it was made by another version" in capsys.readouterr().err


@contextmanager
def api(status: int, body: object) -> Iterator[tuple[str, list[bool]]]:
    """An address that answers every GET with this, and whether each request was signed by KEYS."""
    signed: list[bool] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request("GET", self.path, "", headers)
            signed.append(verify(request, KEYS, now=datetime.now(UTC)) is not None)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", signed
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_report_is_fetched_with_a_signature() -> None:
    with api(200, {"may_claim": []}) as (url, signed):
        assert fetch("exp_default", url, KEYS) == {"may_claim": []}
    assert signed == [True]


def test_a_problem_of_the_api_is_told_in_its_own_words() -> None:
    with (
        api(404, {"detail": "experiment 'exp_x' does not exist"}) as (url, _),
        pytest.raises(LocalRunError, match=r"404: experiment 'exp_x' does not exist"),
    ):
        fetch("exp_x", url, KEYS)


def test_an_address_that_answers_nothing_is_told() -> None:
    with api(200, {}) as (url, _):
        pass
    with pytest.raises(LocalRunError, match="Does `make run` run"):
        fetch("exp_default", url, KEYS)
