"""Children end with their parent, however the parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.aws import processes

PARENT = """
import os, sys, time
from pathlib import Path
from local.aws import processes
child = processes.start([sys.executable, "-c", "import time; time.sleep(60)"],
                        environment=dict(os.environ), cwd=Path("."), output=sys.stderr.fileno())
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ties children to their parent on Linux only")
def test_a_parent_that_is_killed_takes_its_children_along() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=python_path()
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert processes.is_alive(child)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert ends(child)


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    script = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('on', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    with log.open("wb") as output:
        child = processes.start(
            [sys.executable, "-c", script], environment=dict(os.environ), cwd=tmp_path, output=output
        )
        deadline = time.monotonic() + 10
        while "on" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)

        processes.stop(child, grace_seconds=0.2)

    assert child.returncode == -signal.SIGKILL


def test_the_environment_of_a_child_holds_nothing_it_does_not_need() -> None:
    kept = processes.bare_environment({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "real", "SNOWFLAKE_PASSWORD": "real"})

    assert kept == {"PATH": "/bin"}


def python_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def ends(pid: int) -> bool:
    """Gone, or a zombie that its new parent has not collected yet."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False
