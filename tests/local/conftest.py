"""One small function for the runtime tests: what it does depends on the event."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws.processes import bare_environment
from local.aws.workers import FunctionSpec, Workers
from local.settings import PACKAGE

HANDLER = """
import json, os, time

def handler(event, context):
    action = event.get("action")
    if action == "fail":
        raise ValueError("no such item")
    if action == "hang":
        time.sleep(60)
    if action == "exit":
        os._exit(3)
    return {"event": event, "pid": os.getpid(), "function": context.function_name,
            "remaining_ms": context.get_remaining_time_in_millis(), "cwd": os.getcwd(),
            "greeting": os.environ.get("GREETING")}
"""


@pytest.fixture
def echo(tmp_path: Path) -> FunctionSpec:
    """A function that answers with its event, or fails, hangs or exits on demand."""
    root = tmp_path / "echo"
    root.mkdir()
    (root / "handler.py").write_text(HANDLER)
    environment = {**bare_environment({"PATH": str(Path(sys.executable).parent)}), "GREETING": "hello"}
    return FunctionSpec("echo", root, environment, str(PACKAGE), timeout_seconds=1.0)


@pytest.fixture
def workers(echo: FunctionSpec, tmp_path: Path) -> Iterator[Workers]:
    """One worker of `echo`, ready."""
    pool = Workers([echo], region="eu-central-1", logs=tmp_path / "logs")
    try:
        pool.wait_ready(seconds=20)
        yield pool
    finally:
        pool.stop()
