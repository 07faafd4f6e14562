"""Steps of the main job: done once, done again when something changes, never trusted half-made."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from local.settings import LocalRunError
from local.steps import Step, Steps


def step(folder: Path, script: str, *, name: str = "build", upstream: tuple[str, ...] = ()) -> Step:
    code = folder / f"{name}.py"
    code.write_text(script)
    output = folder / name
    return Step(
        name=name,
        title=f"Do the {name}",
        command=(sys.executable, str(code)),
        environment={"OUTPUT": str(output), "KEPT": str(folder / "checkpoints")},
        sources=(code,),
        upstream=upstream,
        outputs=(output,),
        resumable=(folder / "checkpoints",),
    )


WRITE = "import os, pathlib; pathlib.Path(os.environ['OUTPUT']).write_text('made')\n"


def run(folder: Path, *steps: Step, said: list[str] | None = None) -> list[str]:
    say = (said if said is not None else []).append
    return Steps(folder / "markers", folder / "logs", cwd=folder, progress=say).run(steps)


def test_a_finished_step_is_not_repeated(tmp_path: Path) -> None:
    made = step(tmp_path, WRITE)

    assert run(tmp_path, made) == ["build"]
    assert run(tmp_path, made) == []


def test_changed_code_repeats_the_step_and_all_that_follow(tmp_path: Path) -> None:
    first, second = step(tmp_path, WRITE), step(tmp_path, WRITE, name="train", upstream=("build",))
    run(tmp_path, first, second)

    changed = step(tmp_path, WRITE + "# better\n")

    assert run(tmp_path, changed, second) == ["build", "train"]


def test_changed_parameters_repeat_the_step(tmp_path: Path) -> None:
    made = step(tmp_path, WRITE)
    run(tmp_path, made)

    assert run(tmp_path, replace(made, parameters="epochs=2")) == ["build"]


def test_a_lost_output_repeats_the_step(tmp_path: Path) -> None:
    made = step(tmp_path, WRITE)
    run(tmp_path, made)
    made.outputs[0].unlink()

    assert run(tmp_path, made) == ["build"]


def test_a_failed_step_says_why_and_where_and_is_not_trusted(tmp_path: Path) -> None:
    broken = step(tmp_path, WRITE + "import sys; sys.exit('no purchases at all')\n")

    with pytest.raises(LocalRunError, match=rf"Do the build failed \(status 1\): no purchases .*{tmp_path}/logs"):
        run(tmp_path, broken)
    with pytest.raises(LocalRunError):
        run(tmp_path, broken)


def test_a_step_that_leaves_no_output_has_failed(tmp_path: Path) -> None:
    with pytest.raises(LocalRunError, match="it left no build"):
        run(tmp_path, step(tmp_path, "pass\n"))


def test_an_interrupted_step_resumes_from_its_checkpoint_until_its_input_changes(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "kept = pathlib.Path(os.environ['KEPT'])\n"
        "if not kept.exists():\n"
        "    kept.mkdir(); sys.exit('interrupted')\n"
        "pathlib.Path(os.environ['OUTPUT']).write_text('resumed')\n"
    )
    with pytest.raises(LocalRunError):
        run(tmp_path, step(tmp_path, script))
    assert run(tmp_path, step(tmp_path, script)) == ["build"]

    with pytest.raises(LocalRunError, match="interrupted"):
        run(tmp_path, step(tmp_path, script + "# other input\n"))


def test_a_stop_reaches_the_running_step_and_its_children(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(os.environ['OUTPUT']).write_text(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(60)\n"
    )
    sleeping = step(tmp_path, script)

    def interrupt() -> None:
        while not (sleeping.outputs[0].exists() and " " in sleeping.outputs[0].read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, sleeping)

    assert wait_gone(int(pid) for pid in sleeping.outputs[0].read_text().split())


def wait_gone(pids: Iterable[int]) -> bool:
    waiting = list(pids)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        waiting = [pid for pid in waiting if is_running(pid)]
        if not waiting:
            return True
        time.sleep(0.05)
    return False


def is_running(pid: int) -> bool:
    """A zombie has ended; only its new parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
