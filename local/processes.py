"""Child processes of the local run: own process group, own log, tied to the parent's life.

Every child is a session of its own, so that Ctrl-C reaches the parent only and it stops the children
in order; a stop goes to the whole group. The thread that starts a child must live as long as the
child should: Linux counts the death of that thread as the parent's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

TETHER = Path(__file__).with_name("tether.py")
CONTINUE = signal.SIGCONT
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE")


def bare_environment(source: Mapping[str, str]) -> dict[str, str]:
    """The few variables that every child needs; nothing else of the caller's environment reaches it."""
    return {name: source[name] for name in KEPT_VARIABLES if name in source}


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    output: IO[bytes] | int,
    errors: IO[bytes] | int = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start `command` as the leader of its own process group that dies with this process."""
    tethered = [sys.executable, "-S", "-E", str(TETHER), str(os.getpid()), *command]
    return subprocess.Popen(
        tethered,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], *, grace_seconds: float = 5.0) -> None:
    """Ask the group to end, wait, then kill what is left; safe to call on a dead process."""
    send(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_seconds)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group at once and reap its leader."""
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the group of a living process."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def is_alive(pid: int) -> bool:
    """True while a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def tail(log: Path, *, lines: int = 12) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
