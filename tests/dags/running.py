"""A scratch Airflow for the tests of this folder: its files as Amazon MWAA has them, its processes, its database.

The DAGs and the packages lie where `make mwaa` puts them and are found as on MWAA: `dags/` by the DAG processor and
the workers, `plugins/` by every process. Nothing is found through PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
AIRFLOW = Path(sys.executable).with_name("airflow")
PATIENCE = 300.0  # seconds; a quiet machine needs about 90 for the longest


def scratch(home: Path) -> dict[str, str]:
    """The environment of an Airflow whose every file is below `home`, its database and pools made."""
    bucket = home / "mwaa"
    subprocess.run(["make", "-s", "-C", str(ROOT), "mwaa", f"OUT={bucket}"], check=True, timeout=60)
    ports = {name: str(free_port()) for name in ("api", "logs", "trigger_logs")}
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(bucket / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(bucket / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{ports['api']}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__PORT": ports["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": "scratch " * 8,
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": ports["logs"],
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": ports["trigger_logs"],
    }
    airflow(environment, "db", "migrate")
    airflow(environment, "pools", "import", str(bucket / "dags/pools.json"))
    return environment


def airflow(environment: dict[str, str], *arguments: str) -> str:
    """Run one Airflow command; its output, which is shown where the command fails."""
    done = subprocess.run(
        [AIRFLOW, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@contextlib.contextmanager
def running(environment: dict[str, str], folder: Path, *dag_ids: str, triggerer: bool = False) -> Iterator[None]:
    """API server, DAG processor, scheduler and perhaps a triggerer, with these DAGs switched on."""
    parts = {
        "api-server": ["--host", "127.0.0.1", "--port", environment["AIRFLOW__API__PORT"], "--workers", "1"],
        "dag-processor": [],
        "scheduler": [],
        **({"triggerer": []} if triggerer else {}),
    }
    with contextlib.ExitStack() as stack:
        for name, options in parts.items():
            stack.enter_context(process([str(AIRFLOW), name, *options], environment, folder / f"{name}.log"))
        for dag_id in dag_ids:
            switch_on(environment, dag_id)
        yield


def switch_on(environment: dict[str, str], dag_id: str) -> None:
    """Unpause a DAG, once it is known."""
    query = "select 1 from dag where dag_id = ?"
    wait_until(lambda: bool(metadata(environment, query, dag_id)), f"{dag_id} to be parsed")
    airflow(environment, "dags", "unpause", dag_id, "--yes")


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process and all that it starts, ended on the way out; its output in `log`, printed where the body fails."""
    with log.open("w") as output:
        started = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield
        except BaseException:
            print(f"--- {log.name}\n{log.read_text()[-2500:]}")
            raise
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(started.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    started.wait(10)


def metadata(environment: dict[str, str], query: str, *values: str) -> list[tuple[Any, ...]]:
    """Read Airflow's own database."""
    with contextlib.closing(sqlite3.connect(f"{environment['AIRFLOW_HOME']}/airflow.db", timeout=30)) as database:
        return database.execute(query, values).fetchall()


def states(environment: dict[str, str], dag_id: str) -> list[str]:
    """The states of the runs of a DAG, oldest first."""
    query = "select state from dag_run where dag_id = ? order by run_after"
    return [state for (state,) in metadata(environment, query, dag_id)]


def wait_until(holds: Callable[[], bool], what: str, *, quiet: bool = False) -> None:
    """Look four times a second; fail with the name of what did not come."""
    until, began = time.monotonic() + PATIENCE, time.monotonic()
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.25)
    if not quiet:
        say(f"{what}: after {time.monotonic() - began:.0f} s")


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def say(text: str) -> None:
    """What a person at the terminal sees of the progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)
