"""The schedule under a real Airflow: it parses, it is what it should be, and its warehouse part runs.

Skipped where Airflow is not installed; `make airflow-test` makes an environment that has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow has its own environment: make airflow-test")

ROOT = Path(__file__).parents[2]
AIRFLOW = Path(sys.executable).with_name("airflow")
DAG_ID = "daily_recommendations"


@pytest.fixture(scope="module")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers/recommender/python")]),
    }
    airflow(environment, "db", "migrate")
    return environment


def airflow(environment: dict[str, str], *arguments: str) -> str:
    """Run one Airflow command; its output, which is shown where the command fails."""
    done = subprocess.run(
        [AIRFLOW, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_every_dag_can_be_imported(airflow_environment: dict[str, str]) -> None:
    inspect = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags")
dag = bag.dags["daily_recommendations"]
print("RESULT" + json.dumps({
    "errors": bag.import_errors,
    "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "outlets": sorted(outlet.name for task in dag.tasks for outlet in task.outlets),
    "retries": sorted({task.retries for task in dag.tasks}),
    "backs_off": all(task.retry_exponential_backoff for task in dag.tasks),
    "at_once": dag.max_active_runs,
    "catchup": dag.catchup,
}))
"""
    done = subprocess.run(
        [sys.executable, "-c", inspect],
        cwd=ROOT,
        env=airflow_environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.split("RESULT")[1])

    assert found == {
        "errors": {},
        "tasks": {"load_landed": ["run_day"], "run_day": ["export"], "export": ["train"], "train": []},
        "outlets": ["recommender_exports", "recommender_marts"],
        "retries": [3],
        "backs_off": True,
        "at_once": 1,
        "catchup": False,
    }


def test_a_run_takes_landed_events_to_the_exports_of_its_day(
    airflow_environment: dict[str, str], tmp_path: Path
) -> None:
    from recommender.contracts.events import Event, EventItem, to_record

    from warehouse.build import Paths, Plan, build
    from warehouse.manifest import read_manifest

    now = datetime.now(UTC)
    paths = Paths(tmp_path / "database", tmp_path / "built")
    plan = Plan("generated", shoppers=10, items=30, days=8)
    before = build(plan, paths, now=now.replace(tzinfo=None), rebuild=False, on_step=lambda step: None)
    live = Event("live-1", "view_item", now, "browser", "visit", items=(EventItem("i00001"),))
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "batch.jsonl").write_text(json.dumps(to_record(live)) + "\n")
    environment = {
        **airflow_environment,
        "WAREHOUSE_DATABASE": str(paths.database),
        "WAREHOUSE_LANDING": str(tmp_path / "landing"),
        "WAREHOUSE_EXPORTS": str(tmp_path / "exports"),
        "TRAINING_PIPELINE_NAME": "",
    }

    airflow(environment, "dags", "test", DAG_ID, f"{now:%Y-%m-%d}")

    exported = read_manifest(tmp_path / "exports" / f"{now:%Y-%m-%d}")
    assert exported.files["session_events"].rows == before["rows"]["exports"]["session_events"] + 1
