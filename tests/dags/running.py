"""A scratch Airflow for the tests of this folder: its environment, and one command of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
AIRFLOW = Path(sys.executable).with_name("airflow")


def scratch(home: Path) -> dict[str, str]:
    """The environment of an Airflow whose every file is below `home`, its database and pools made."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API_AUTH__JWT_SECRET": "scratch " * 8,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers/recommender/python")]),
    }
    airflow(environment, "db", "migrate")
    airflow(environment, "pools", "import", str(ROOT / "dags/pools.json"))
    return environment


def airflow(environment: dict[str, str], *arguments: str) -> str:
    """Run one Airflow command; its output, which is shown where the command fails."""
    done = subprocess.run(
        [AIRFLOW, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
