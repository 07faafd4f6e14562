"""The Runtime API contract, with the real runtime client in a real process."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.aws.workers import FunctionSpec, Workers
from local.settings import LocalRunError


def answer(workers: Workers, **event: Any) -> Any:
    return json.loads(workers.invoke("echo", event).payload)


def test_a_worker_answers_with_the_event_its_name_its_folder_and_its_deadline(
    workers: Workers, echo: FunctionSpec
) -> None:
    body = answer(workers, sku="ä€")

    assert body["event"] == {"sku": "ä€"}
    assert body["function"] == "echo"
    assert body["cwd"] == str(echo.task_root)
    assert body["greeting"] == "hello"
    assert 0 < body["remaining_ms"] <= 1000


def test_an_exception_comes_back_as_an_error_and_the_worker_lives_on(workers: Workers) -> None:
    before = answer(workers)["pid"]

    outcome = workers.invoke("echo", {"action": "fail"})

    assert outcome.error_type
    assert json.loads(outcome.payload)["errorMessage"] == "no such item"
    assert answer(workers)["pid"] == before


def test_a_handler_that_overruns_is_killed_and_replaced(workers: Workers) -> None:
    before = answer(workers)["pid"]
    started = time.monotonic()

    outcome = workers.invoke("echo", {"action": "hang"})

    assert outcome.error_type == "Sandbox.Timedout"
    assert time.monotonic() - started < 5
    assert answer(workers)["pid"] != before
    assert not alive(before)


def test_a_worker_that_exits_is_replaced_and_its_caller_told(workers: Workers) -> None:
    outcome = workers.invoke("echo", {"action": "exit"})

    assert outcome.error_type == "Runtime.ExitError"
    assert "status 3" in json.loads(outcome.payload)["errorMessage"]
    assert answer(workers)["greeting"] == "hello"


def test_an_event_over_six_megabytes_is_refused(workers: Workers) -> None:
    outcome = workers.invoke("echo", {"padding": "x" * (6 * 1024 * 1024)})

    assert outcome.error_type == "RequestEntityTooLargeException"


def test_a_broken_import_is_named(echo: FunctionSpec, tmp_path: Path) -> None:
    (echo.task_root / "handler.py").write_text("import no_such_module\n")
    pool = Workers([echo], region="eu-central-1", logs=tmp_path / "logs")

    try:
        with pytest.raises(LocalRunError, match=r"echo cannot start: .*no_such_module"):
            pool.wait_ready(seconds=20)
    finally:
        pool.stop()


def test_stopping_leaves_no_process_and_no_port(echo: FunctionSpec, tmp_path: Path) -> None:
    pool = Workers([replace(echo, workers=2)], region="eu-central-1", logs=tmp_path / "logs")
    pool.wait_ready(seconds=20)
    pids = pool.process_ids("echo")
    ports = [environment.api.address for environment in pool._environments]

    pool.stop()

    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)
    for address in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(address.split(":")[1])), timeout=1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
