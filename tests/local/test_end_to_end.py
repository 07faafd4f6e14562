"""The main job on a small generated shop, from purchases to a proven system, and its second start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.settings import PACKAGE, ROOT


def run_check(state: Path) -> tuple[int, dict[str, Any], str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(PACKAGE)))}
    command = [sys.executable, "-m", "local", "run", "--check", "--source", "generated", "--port", "0"]
    done = subprocess.run(
        [*command, "--state-dir", str(state)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=570
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_purchases_become_a_system_that_proves_itself_twice(tmp_path: Path) -> None:
    status, first, log = run_check(tmp_path)

    assert [name for name, check in first["checks"].items() if not check["ok"]] == [], first
    assert (status, first["ok"]) == (0, True), log[-3000:]
    assert (tmp_path / "reports" / "evaluation" / "report.html").exists()

    status, second, log = run_check(tmp_path)

    assert (status, second["ok"]) == (0, True), log[-3000:]
    assert second["seconds_to_ready"] < first["seconds_to_ready"] / 2, "the steps of the first start are kept"
    assert "[1/6]" not in log
