"""What dies while a day is run, for real: the process in the middle of a MERGE, the server of the warehouse."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector
from recommender.errors import DependencyDown

from tests.warehouse.shop import deliver_items, rows_of
from warehouse.connect import DATABASE, Warehouse, open_local
from warehouse.day.day import read_watermark, run_day
from warehouse.day.runs import read_runs
from warehouse.export.parts import fingerprints

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")

DAY, NEXT = date(2026, 1, 3), date(2026, 1, 4)
MERGE = "staging/stg_events.sql"
MANY = 150_000  # events, so that their MERGE takes longer than the time after which the process is killed
# Runs the day and kills itself, as the kernel would, 30 ms into the MERGE; it ran the day before already, so that no
# time goes into translating the statement.
KILLED = f"""
import os, signal, sys, threading
from datetime import date
from pathlib import Path
from warehouse.connect import open_local
from warehouse.day.day import run_day

def on_step(step):
    print(step, flush=True)
    if step == {MERGE!r}:
        threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGKILL)).start()

with open_local(Path(sys.argv[1])) as warehouse:
    first, second = map(date.fromisoformat, sys.argv[2:])
    run_day(warehouse.connection, first)
    run_day(warehouse.connection, second, on_step=on_step)
"""


@pytest.fixture
def folder(database: Path) -> Path:
    """A warehouse that ran a day, and has many events of the next that were not run yet."""
    with open_local(database) as warehouse:
        deliver_items(warehouse, "tea", loaded_at=f"{DAY}T02:00:00")
        run_day(warehouse.connection, DAY)
        rows_of(
            warehouse,
            "insert into raw.events (event_id, event_name, event_time, visitor_id, session_id, items, loaded_at)"
            " select 'm' || seq4(), 'view_item', dateadd(second, mod(seq4(), 80000), "
            f"'{DAY}'::timestamp_ntz), 'v' || mod(seq4(), 1000), 's', parse_json('[]'), '{NEXT}T02:00:00'"
            f" from table(generator(rowcount => {MANY}))",
        )
    return database


def state_of(warehouse: Warehouse) -> tuple[Any, ...]:
    return fingerprints(warehouse.connection), read_watermark(warehouse.connection)


def test_a_process_killed_in_the_middle_of_a_merge_leaves_nothing_and_the_next_run_does_its_work(folder: Path) -> None:
    with open_local(folder) as warehouse:
        before = state_of(warehouse)

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(DAY), str(NEXT)],
        stdout=subprocess.PIPE,
        timeout=120,
        check=False,
    )

    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout.decode().splitlines()[-1] == MERGE
    with open_local(folder) as warehouse:
        assert state_of(warehouse) == before
        # few of the events are enough to see that the next run takes them
        rows_of(warehouse, "delete from raw.events where event_id like 'm%' and event_id not like 'm%00'")
        run_day(warehouse.connection, NEXT)
        assert [status for _, _, status, *_ in read_runs(warehouse.connection, limit=2)] == ["done", "lost"]
        assert rows_of(warehouse, "select count(*) from staging.stg_events") == [(MANY // 100 - 1,)]


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The embedded warehouse behind a port, in a process of its own."""
    pytest.importorskip("uvicorn", reason="the embedded warehouse serves with it")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.dags.snowflake_server", str(port), str(folder)])
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield process, port
    finally:
        process.kill()
        process.wait()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of those threads
def test_a_server_killed_in_the_middle_of_a_day_is_a_clear_error_and_nothing_has_changed(
    server: tuple[subprocess.Popen[bytes], int], folder: Path
) -> None:
    process, port = server
    connection = snowflake.connector.connect(
        user="a",
        password="a",
        account="embedded",
        host="127.0.0.1",
        port=port,
        protocol="http",
        database=DATABASE,
        schema="PUBLIC",
        login_timeout=30,
        network_timeout=60,
        session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
    )
    before = fingerprints(connection), read_watermark(connection)

    def kill(step: str) -> None:
        if step == "marts/carts.sql":
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            connection._network_timeout = 2  # so that it does not try again for a minute

    with pytest.raises(DependencyDown, match=r"the warehouse went away in marts/carts\.sql"):
        run_day(connection, NEXT, holder="task", on_step=kill)
    connection.close(retry=False)
    for thread in threading.enumerate():  # in which the connector still asks the dead to abort its statements
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(timeout=30)

    with open_local(folder) as warehouse:
        assert state_of(warehouse) == before
        assert [status for _, _, status, *_ in read_runs(warehouse.connection, limit=2)] == ["running", "done"]
