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
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow has its own environment: make airflow-test")

from tests.dags.running import AIRFLOW, ROOT, airflow, scratch

DAG_ID = "daily_warehouse"
PATIENCE = 540.0  # seconds; a quiet machine needs about 90


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
        with running(environment, tmp_path):
            killed = kill_in_the_middle(connection, environment, days[1])
            wait_until(lambda: states(environment).count("success") == len(days), "three successful runs")
        scheduled, statuses = fingerprints_of(connection), run_statuses(connection, days)

    assert killed
    assert statuses == ["done", "lost", "done", "done"]
    assert tries(environment, days[1]) == 2
    assert scheduled == straight
    for day in days:
        assert (tmp_path / "exports" / str(day) / "manifest.json").is_file()


def last_three_days(now: datetime) -> list[date]:
    """The days of the three newest nightly runs."""
    last = (now - timedelta(hours=3)).date()
    return [last - timedelta(days=2), last - timedelta(days=1), last]


def landed(folder: Path, day: date) -> Path:
    """A landing with one event of a live shop."""
    from recommender.contracts.events import Event, EventItem, to_record

    at = datetime.combine(day, datetime.min.time(), UTC) - timedelta(hours=1)
    folder.mkdir()
    event = Event("live-1", "view_item", at, "browser", "visit", items=(EventItem("i00001"),))
    (folder / "batch.jsonl").write_text(json.dumps(to_record(event)) + "\n")
    return folder


def fill(connection: Any, days: list[date]) -> None:
    """Load a tiny shop's history and its three nightly deliveries; run the day before them."""
    from warehouse.loading import append
    from warehouse.pipeline import run_day
    from warehouse.sources import generated
    from warehouse.statements import create_layers

    say("loading a generated shop")
    create_layers(connection)
    history = generated.load(days[-1], shop=generated.Shop(shoppers=12, items=30, days=10), seed=3)
    for loaded_at, frames in history.deliveries(len(days)):
        for name, frame in frames.items():
            append(connection, name, frame, load_id=f"{loaded_at}/{name}", loaded_at=loaded_at)
    run_day(connection, history.first_run(len(days)))


def run_straight(connection: Any, days: list[date], landing: Path) -> dict[str, str]:
    """What the DAG does, without Airflow."""
    from warehouse.daily import load_landed
    from warehouse.pipeline import run_day
    from warehouse.statements import create_layers

    for day in days:
        say(f"straight run of {day}")
        create_layers(connection)
        load_landed(connection, str(landing), loaded_at=datetime.combine(day, datetime.min.time().replace(hour=3)))
        run_day(connection, day)
    return fingerprints_of(connection)


def fingerprints_of(connection: Any) -> dict[str, str]:
    from warehouse.fingerprints import fingerprint, fingerprints

    raw = ("raw.events", "raw.purchases", "raw.items", "raw.shoppers", "ops.watermarks")
    return {**fingerprints(connection), **{table: fingerprint(connection, table) for table in raw}}


def run_statuses(connection: Any, days: list[date]) -> list[str]:
    from warehouse.statements import execute

    query = "select status from ops.runs where first_day >= %(first)s::date order by started_at"
    return [status for (status,) in execute(connection, query, {"first": days[0]})]


def kill_in_the_middle(connection: Any, environment: dict[str, str], day: date) -> bool:
    """SIGKILL the process of run_day once its run of `day` is at work in the warehouse."""
    from warehouse.statements import execute

    query = "select count(*) from ops.runs where first_day = %(day)s::date and status = 'running'"
    wait_until(lambda: execute(connection, query, {"day": day})[0][0] == 1, f"the run of {day} at work")
    time.sleep(0.5)  # some steps further
    ((process,),) = metadata(
        environment, "select pid from task_instance where dag_id = ? and task_id = 'run_day' and state = 'running'"
    )
    os.kill(process, signal.SIGKILL)
    say(f"killed run_day of {day}, process {process}")
    return bool(execute(connection, query, {"day": day})[0][0] == 1)


def states(environment: dict[str, str]) -> list[str]:
    return [
        state for (state,) in metadata(environment, "select state from dag_run where dag_id = ? order by run_after")
    ]


def tries(environment: dict[str, str], day: date) -> int:
    query = (
        "select t.try_number from task_instance t join dag_run r using (dag_id, run_id)"
        f" where dag_id = ? and task_id = 'run_day' and date(r.data_interval_end) = '{day}'"
    )
    return int(metadata(environment, query)[0][0])


def metadata(environment: dict[str, str], query: str) -> list[tuple[Any, ...]]:
    """Read Airflow's own database."""
    with contextlib.closing(sqlite3.connect(f"{environment['AIRFLOW_HOME']}/airflow.db", timeout=30)) as database:
        return database.execute(query, (DAG_ID,)).fetchall()


def warehouse_settings(port: int, folder: Path, first: date) -> dict[str, str]:
    extra = {"account": "fakesnow", "host": "127.0.0.1", "port": port, "protocol": "http", "database": "RECOMMENDER"}
    connection = {"conn_type": "snowflake", "login": "a", "password": "b", "schema": "PUBLIC", "extra": extra}
    api, logs = free_port(), free_port()
    return {
        "AIRFLOW_CONN_SNOWFLAKE_DEFAULT": json.dumps(connection),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api}/execution/",
        "AIRFLOW__API__PORT": str(api),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(logs),
        "WAREHOUSE_LANDING": str(folder / "landing"),
        "WAREHOUSE_EXPORTS": str(folder / "exports"),
        "WAREHOUSE_UNLOAD": "cursor",
        "WAREHOUSE_RETRY_SECONDS": "8",
        "WAREHOUSE_CATCHUP_FROM": str(first - timedelta(days=1)),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    }


@contextlib.contextmanager
def running(environment: dict[str, str], folder: Path) -> Iterator[None]:
    """API server, DAG processor and scheduler, with the daily DAG switched on."""
    parts = {
        "api-server": ["--host", "127.0.0.1", "--port", environment["AIRFLOW__API__PORT"], "--workers", "1"],
        "dag-processor": [],
        "scheduler": [],
    }
    with contextlib.ExitStack() as stack:
        for name, options in parts.items():
            stack.enter_context(process([str(AIRFLOW), name, *options], environment, folder / f"{name}.log"))
        query = "select 1 from dag where dag_id = ?"
        wait_until(lambda: bool(metadata(environment, query)), "the DAG to be parsed")
        airflow(environment, "dags", "unpause", DAG_ID, "--yes")
        yield


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
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)
