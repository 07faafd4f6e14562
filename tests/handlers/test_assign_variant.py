"""The edge of assign_variant: keys, bodies, problems; reports for administrators."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from recommender.adapters.http import Handler, key_digest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.config import Snapshot, default_config
from recommender.use_cases.report_experiment import start_experiment

from tests.handlers.deployed import ENVIRONMENT, KEY, deployed, http_event

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)


@dataclass
class Fixed:
    snapshot: Snapshot | None

    def current(self) -> Snapshot | None:
        return self.snapshot


@dataclass
class Edge:
    handler: Handler
    snapshots: Fixed

    def call(self, method: str, path: str, **parts: Any) -> tuple[int, dict[str, Any]]:
        answer = self.handler(http_event(method, path, **parts), None)
        return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Edge:
    store = MemoryExperimentStore()
    snapshots = Fixed(start_experiment(CONFIG, store=store, now=NOW))
    module = deployed("assign_variant", monkeypatch)
    handler = module.create_handler(store, snapshots, placements=CONFIG.placements, key_digests=key_digest(KEY))
    return Edge(handler, snapshots)


def test_a_visitor_gets_a_variant_in_every_placement_of_the_registry(edge: Edge) -> None:
    status, body = edge.call("POST", "/v1/assignments", body='{"visitor_id": "v_1"}')

    assert status == 200
    assert [one["placement"] for one in body["assignments"]] == list(CONFIG.placements)
    assert {one["experiment_id"] for one in body["assignments"]} == {"exp_default"}
    assert not body["degraded"]


def test_only_the_placements_asked_for_are_answered(edge: Edge) -> None:
    _, body = edge.call("POST", "/v1/assignments", body='{"visitor_id": "v_1", "placements": ["home_hero"]}')

    assert [one["placement"] for one in body["assignments"]] == ["home_hero"]


def test_without_a_snapshot_the_answer_is_the_incumbent_and_says_so(edge: Edge) -> None:
    edge.snapshots.snapshot = None

    status, body = edge.call("POST", "/v1/assignments", body='{"visitor_id": "v_1"}')

    assert (status, body["degraded"]) == (200, True)
    assert {(one["variant"], one["experiment_id"]) for one in body["assignments"]} == {("cohorts", None)}


def test_every_answer_says_whether_it_was_degraded_so_that_a_share_can_be_seen(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    edge.call("POST", "/v1/assignments", body='{"visitor_id": "v_1"}')
    edge.snapshots.snapshot = None
    edge.call("POST", "/v1/assignments", body='{"visitor_id": "v_1"}')

    assert re.findall(r'"Degraded":\[([\d.]+)\]', capsys.readouterr().out.replace(" ", "")) == ["0.0", "1.0"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{", 400, "invalid_json"),
        ("{}", 400, "invalid_argument"),
        ('{"visitor_id": "v_1", "placement": "home_hero"}', 400, "unknown_field"),
        ('{"visitor_id": "v_1", "placements": ["home_heroo"]}', 404, "unknown_placement"),
    ],
)
def test_a_wrong_body_is_a_problem_document(edge: Edge, body: str, status: int, code: str) -> None:
    answered, problem = edge.call("POST", "/v1/assignments", body=body)

    assert (answered, problem["code"]) == (status, code)


def test_assignments_need_the_publishable_key(edge: Edge) -> None:
    status, problem = edge.call("POST", "/v1/assignments", body='{"visitor_id": "v_1"}', key=None)

    assert (status, problem["code"]) == (401, "unauthorized")


def test_the_report_of_an_experiment_is_answered_and_an_unknown_one_is_not_found(edge: Edge) -> None:
    status, body = edge.call("GET", "/v1/experiments/exp_default")
    assert (status, body["experiment_id"], len(body["placements"])) == (200, "exp_default", 12)

    status, problem = edge.call("GET", "/v1/experiments/exp_other")
    assert (status, problem["code"]) == (404, "unknown_experiment")


def test_the_functions_of_the_experiments_start_without_models() -> None:
    script = (
        "import sys, functions.assign_variant.handler, functions.count_outcomes.handler, "
        "functions.reallocate_traffic.handler; "
        "print([name for name in ('onnxruntime', 'tokenizers', 'torch', 'pandas') if name in sys.modules])"
    )
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
