"""Three nights under a real scheduler, one task killed in the middle: the tables end as without Airflow.

The scheduler makes the runs from the cron schedule, LocalExecutor runs the tasks, the real connector speaks to
the embedded Snowflake's server. A minute or two; what happens is printed (`make airflow-test`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow has its own environment: make airflow-test")

from tests.dags.running import answers, free_port, metadata, process, running, say, scratch, states, wait_until
from tests.dags.shop import fill, fingerprints_of, landed, last_three_days, run_straight

DAG_ID = "daily_warehouse"
# Airflow 3.0 gives a task whose process is killed no retry (apache/airflow#55753): there nothing is killed.
RETRIES_KILLED = not version("apache-airflow").startswith("3.0.")


def test_three_nights_with_a_killed_task_equal_a_straight_run(tmp_path: Path) -> None:
    days = last_three_days(datetime.now(UTC))
    landing = landed(tmp_path / "landing", days[0])
    with server(tmp_path / "airflow-warehouse") as port, connected(port) as connection:
        fill(connection, days)
    shutil.copytree(tmp_path / "airflow-warehouse", tmp_path / "straight-warehouse")

    with server(tmp_path / "straight-warehouse") as port, connected(port) as connection:
        straight = run_straight(connection, days, landing)
    with server(tmp_path / "airflow-warehouse") as port, connected(port) as connection:
        environment = {**scratch(tmp_path / "home"), **warehouse_settings(port, tmp_path, days[0])}
        with running(environment, tmp_path, DAG_ID):
            killed = not RETRIES_KILLED or kill_in_the_middle(connection, environment, days[1])
            wait_until(lambda: states(environment, DAG_ID).count("success") == len(days), "three successful runs")
        scheduled, statuses = fingerprints_of(connection), run_statuses(connection, days)

    assert killed
    assert statuses == (["done", "lost", "done", "done"] if RETRIES_KILLED else ["done"] * 3)
    assert tries(environment, days[1]) == (2 if RETRIES_KILLED else 1)
    assert scheduled == straight
    for day in days:
        assert (tmp_path / "exports" / str(day) / "manifest.json").is_file()
        assert "<h1>" in (tmp_path / "exports/quality" / str(day) / "quality.html").read_text()


def run_statuses(connection: Any, days: list[date]) -> list[str]:
    from warehouse.engine.statements import execute

    query = "select status from ops.runs where first_day >= %(first)s::date order by started_at"
    return [status for (status,) in execute(connection, query, {"first": days[0]})]


def kill_in_the_middle(connection: Any, environment: dict[str, str], day: date) -> bool:
    """SIGKILL the process of run_day once its run of `day` is at work in the warehouse."""
    from warehouse.engine.statements import execute

    query = "select count(*) from ops.runs where first_day = %(day)s::date and status = 'running'"
    wait_until(lambda: execute(connection, query, {"day": day})[0][0] == 1, f"the run of {day} at work")
    time.sleep(0.5)  # some steps further
    ((process,),) = metadata(
        environment,
        "select pid from task_instance where dag_id = ? and task_id = 'run_day' and state = 'running'",
        DAG_ID,
    )
    os.kill(process, signal.SIGKILL)
    say(f"killed run_day of {day}, process {process}")
    return bool(execute(connection, query, {"day": day})[0][0] == 1)


def tries(environment: dict[str, str], day: date) -> int:
    query = (
        "select t.try_number from task_instance t join dag_run r using (dag_id, run_id)"
        f" where dag_id = ? and task_id = 'run_day' and date(r.data_interval_end) = '{day}'"
    )
    return int(metadata(environment, query, DAG_ID)[0][0])


def warehouse_settings(port: int, folder: Path, first: date) -> dict[str, str]:
    extra = {"account": "fakesnow", "host": "127.0.0.1", "port": port, "protocol": "http", "database": "RECOMMENDER"}
    connection = {"conn_type": "snowflake", "login": "a", "password": "b", "schema": "PUBLIC", "extra": extra}
    return {
        "AIRFLOW_CONN_SNOWFLAKE_DEFAULT": json.dumps(connection),
        "WAREHOUSE_LANDING": str(folder / "landing"),
        "WAREHOUSE_EXPORTS": str(folder / "exports"),
        "WAREHOUSE_UNLOAD": "cursor",
        "WAREHOUSE_RETRY_SECONDS": "8",
        "WAREHOUSE_CATCHUP_FROM": str(first - timedelta(days=1)),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    }


@contextlib.contextmanager
def server(folder: Path) -> Iterator[int]:
    """The embedded Snowflake over `folder`; its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.dags.snowflake_server", str(port), str(folder)]
    with process(command, dict(os.environ), folder.with_suffix(".log")):
        wait_until(lambda: answers(port), "the embedded Snowflake", quiet=True)
        yield port


@contextlib.contextmanager
def connected(port: int) -> Iterator[Any]:
    import snowflake.connector

    where = {"account": "fakesnow", "host": "127.0.0.1", "port": port, "protocol": "http", "database": "RECOMMENDER"}
    quiet = {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}
    with contextlib.closing(
        snowflake.connector.connect(user="a", password="b", schema="PUBLIC", session_parameters=quiet, **where)
    ) as connection:
        yield connection
