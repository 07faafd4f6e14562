"""The schedule under a real Airflow: every DAG parses, does nothing by being parsed, and guards each task.

Skipped where Airflow is not installed; `make airflow-test` makes an environment that has it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow has its own environment: make airflow-test")

from tests.dags.running import ROOT, scratch

INSPECT = """
import json, sys
sys.path.insert(0, sys.argv[1])  # as the bundle of a running Airflow does
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag
bag = DagBag(sys.argv[1])
print("RESULT" + json.dumps({
    "errors": bag.import_errors,
    "loaded": sorted({"snowflake.connector", "fakesnow", "polars", "duckdb"} & set(sys.modules)),
    "dags": {dag.dag_id: {
        "at_once": dag.max_active_runs, "catchup": dag.catchup, "tags": "recommender" in dag.tags,
        "documented": bool(dag.doc_md), "ends": bool(dag.dagrun_timeout), "tells": bool(dag.on_failure_callback),
        "deadline": bool(getattr(dag, "deadline", not hasattr(dag, "deadline"))),  # Airflow 3.0 has none
        "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "params": dag.params.dump(),
    } for dag in bag.dags.values()},
    "tasks": {f"{dag.dag_id}.{task.task_id}": {
        "retries": task.retries, "backs_off": bool(task.retry_exponential_backoff), "pool": task.pool,
        "timeout": bool(task.execution_timeout), "alerts": bool(task.on_failure_callback),
    } for dag in bag.dags.values() for task in dag.tasks},
    "assets": {dag.dag_id: sorted(o.name for t in dag.tasks for o in t.outlets) for dag in bag.dags.values()},
}))
"""
CHAINS = {
    "daily_warehouse": {"load_landed": ["run_day"], "run_day": ["export", "report"], "export": [], "report": []},
    "train_models": {"start": ["wait"], "wait": []},
    "backfill": {"run_range": ["export"], "export": []},
    "erasures": {"answer_requests": []},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environment = scratch(tmp_path_factory.mktemp("airflow"))
    done = subprocess.run(
        [sys.executable, "-c", INSPECT, environment["AIRFLOW__CORE__DAGS_FOLDER"]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    parsed: dict[str, Any] = json.loads(done.stdout.split("RESULT")[1])
    return parsed


def test_every_dag_can_be_imported_and_has_its_tasks(found: dict[str, Any]) -> None:
    assert found["errors"] == {}
    assert {name: dag["tasks"] for name, dag in found["dags"].items()} == CHAINS


def test_a_night_exports_what_changed_unless_it_is_asked_for_all(found: dict[str, Any]) -> None:
    assert found["dags"]["daily_warehouse"]["params"] == {"full": False}


def test_parsing_loads_no_engine_and_opens_nothing(found: dict[str, Any]) -> None:
    assert found["loaded"] == []


def test_runs_of_a_dag_do_not_overlap_and_are_documented(found: dict[str, Any]) -> None:
    guarded = {
        "at_once": 1,
        "catchup": False,
        "tags": True,
        "documented": True,
        "deadline": True,
        "ends": True,
        "tells": True,
    }

    for name, dag in found["dags"].items():
        assert {key: dag[key] for key in guarded} == guarded, name


def test_every_task_retries_with_growing_pauses_times_out_and_alerts(found: dict[str, Any]) -> None:
    pools = json.loads((ROOT / "dags/pools.json").read_text())

    for name, task in found["tasks"].items():
        assert task["retries"] == 3, name
        assert task["backs_off"], name
        assert task["timeout"], name
        assert task["alerts"], name
        assert task["pool"] in pools, name


def test_the_exports_are_what_starts_the_training(found: dict[str, Any]) -> None:
    assert found["assets"] == {
        "daily_warehouse": ["recommender_exports", "recommender_marts"],
        "backfill": ["recommender_exports", "recommender_marts"],
        "erasures": ["recommender_marts"],
        "train_models": [],
    }


def test_no_dag_file_is_longer_than_a_page() -> None:
    for path in Path(ROOT / "dags").glob("*.py"):
        assert len(path.read_text().splitlines()) < 170, path.name
