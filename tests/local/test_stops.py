"""A stop works the same however the process was started: by hand, in the background, by a CI runner, under nohup."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.settings import PACKAGE, ROOT

ALL = ("INT", "QUIT", "TERM", "HUP")
STOPS = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def started_ignoring(names: tuple[str, ...], *arguments: str) -> subprocess.Popen[str]:
    """This Python with arguments, started so that of all signals it is told to ignore these and no others."""

    def take_over() -> None:
        for stop in STOPS:
            signal.signal(stop, signal.SIG_IGN if stop.name.removeprefix("SIG") in names else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(PACKAGE)))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=take_over,
    )


def ignored_by(status: str) -> set[int]:
    """The numbers of the signals that a process ignores, by its /proc/…/status."""
    (mask,) = re.findall(r"SigIgn:\s*([0-9a-f]+)", status)
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


def wait_for(look: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


STEP = """
import os, signal, sys, threading, time
from pathlib import Path
from local.steps import Step, Steps
folder = Path(sys.argv[1])
child = "import os, pathlib, time; pathlib.Path(os.environ['OUT']).write_text(str(os.getpid())); time.sleep(60)"
step = Step("build", "Building", (sys.executable, "-c", child), environment={"OUT": str(folder / "out")},
            outputs=(folder / "out",))
def interrupt():
    while not (folder / "out").exists() or not (folder / "out").read_text():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    Steps(folder / "steps", folder / "logs", cwd=folder, progress=print).run([step])
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("names", [(), ("INT",), ALL], ids=["by hand", "in the background", "by a runner"])
def test_a_stop_reaches_a_step_whatever_its_parent_was_told_to_ignore(names: tuple[str, ...], tmp_path: Path) -> None:
    parent = started_ignoring(names, "-c", STEP, str(tmp_path))
    output, errors = parent.communicate(timeout=60)

    assert output.strip().endswith("stopped"), errors
    assert not Path(f"/proc/{(tmp_path / 'out').read_text()}").exists()


CHILD = """
import os, sys
from pathlib import Path
from local.aws import processes
print(processes.start(["sh", "-c", "cat /proc/$$/status"], environment=dict(os.environ), cwd=Path("."),
                      output=sys.stdout.fileno()).wait())
"""


def test_children_hear_the_signals_that_their_parent_was_told_to_ignore() -> None:
    output, errors = started_ignoring(ALL, "-c", CHILD).communicate(timeout=60)

    assert output.strip().endswith("0"), errors
    assert ignored_by(output).isdisjoint(STOPS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_local_run_in_the_background_stops_and_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    run = started_ignoring(ALL, *local_run(tmp_path))
    assert wait_for(lambda: bool(children_of(run.pid)))
    children = children_of(run.pid)

    run.send_signal(number)
    _, errors = run.communicate(timeout=60)

    assert (run.returncode, errors.strip()[-8:]) == (130, "Stopped.")
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_local_run_under_nohup_outlives_the_terminal(tmp_path: Path) -> None:
    run = started_ignoring(("HUP",), *local_run(tmp_path))
    assert wait_for(lambda: bool(children_of(run.pid)))

    assert ignored_by(Path(f"/proc/{run.pid}/status").read_text()) & STOPS == {signal.SIGHUP}
    run.send_signal(signal.SIGHUP)
    assert run.poll() is None

    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 130


def test_a_hangup_stops_a_local_run_that_was_started_by_hand(tmp_path: Path) -> None:
    run = started_ignoring((), *local_run(tmp_path))
    assert wait_for(lambda: bool(children_of(run.pid)))

    run.send_signal(signal.SIGHUP)
    run.communicate(timeout=60)
    assert run.returncode == 130


def local_run(folder: Path) -> tuple[str, ...]:
    return ("-m", "local", "run", "--source", "generated", "--port", "0", "--state-dir", str(folder / "state"))


@pytest.fixture
def silent_shop() -> Iterator[socket.socket]:
    """A shop that takes a request and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def test_shoppers_in_the_background_stop_at_a_stop(silent_shop: socket.socket) -> None:
    shoppers = started_ignoring(ALL, "-m", "local.shoppers", "--port", str(silent_shop.getsockname()[1]))
    asked, _ = silent_shop.accept()

    shoppers.send_signal(signal.SIGINT)
    _, errors = shoppers.communicate(timeout=60)
    asked.close()

    assert (shoppers.returncode, errors.strip()) == (130, "Stopped. What was counted stays.")


CHECKPOINTS = """
import os, signal, sys
from pathlib import Path
from training_jobs.two_tower.training import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]) / "checkpoint.pt")
checkpoints.listen()
os.kill(os.getpid(), signal.SIGTERM)
print(checkpoints.is_interrupted, flush=True)
checkpoints.leave()
"""


def test_a_training_job_writes_its_last_checkpoint_whatever_its_parent_ignores(tmp_path: Path) -> None:
    job = started_ignoring(ALL, "-c", CHECKPOINTS, str(tmp_path))
    output, errors = job.communicate(timeout=120)

    assert (output.strip(), job.returncode) == ("True", 128 + signal.SIGTERM), errors
