"""`recommender` as a user starts and stops it: one clear sentence, a status, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.aws.processes import StateLock
from local.settings import PACKAGE, ROOT
from local.web import WebServer


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(PACKAGE))), **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def taken() -> Iterator[WebServer]:
    server = WebServer(0)
    yield server
    server.close()


def children_of(pid: int) -> list[int]:
    """The processes it has started, and is the parent of."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid:
            found.append(int(folder.name))
    return found


def wait_for(look: Callable[[], list[int]]) -> list[int]:
    deadline = time.monotonic() + 10
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def test_a_port_in_use_ends_the_run_before_the_long_job(taken: WebServer, tmp_path: Path) -> None:
    run = start("run", "--check", "--state-dir", str(tmp_path), PORT=str(taken.port))
    output, errors = run.communicate(timeout=60)

    assert run.returncode == 1
    assert errors.strip().splitlines() == [json.loads(output)["error"]]
    assert f"Port {taken.port} of 127.0.0.1 cannot be used" in errors
    assert not (tmp_path / "warehouse").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        run = start("run", "--port", "0", "--state-dir", str(tmp_path))
        _, errors = run.communicate(timeout=60)

    assert run.returncode == 1
    assert errors.strip() == f"Another run uses {tmp_path}; stop it first."


def test_a_port_that_is_no_number_is_named(tmp_path: Path) -> None:
    run = start("run", "--state-dir", str(tmp_path), PORT="eighty")
    _, errors = run.communicate(timeout=60)

    assert (run.returncode, errors.strip()) == (2, "PORT is 'eighty', expected a number from 1 to 65535.")


def test_a_stop_during_the_long_job_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = start("run", "--source", "generated", "--port", str(port), "--state-dir", str(tmp_path))
    assert run.stderr is not None
    assert "[1/" in run.stderr.readline()
    children = wait_for(lambda: children_of(run.pid))

    run.send_signal(signal.SIGTERM)
    _, errors = run.communicate(timeout=60)

    assert run.returncode == 130
    assert errors.strip().endswith("Stopped.")
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    assert not list((tmp_path / "steps").glob("*.json"))
