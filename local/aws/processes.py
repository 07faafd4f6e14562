"""Child processes of the local run: own process group, own log, tied to the parent's life.

Every child is a session of its own, so that Ctrl-C reaches the parent only and it stops the children
in order; a stop goes to the whole group. The thread that starts a child must live as long as the
child should: Linux counts the death of that thread as the parent's.

When a stop (Ctrl-C, SIGTERM, SIGHUP) may interrupt the main thread, and when it must wait.

A stop raises KeyboardInterrupt wherever the main thread happens to be. Between the start of a child and
the moment somebody is responsible for it that would leave it behind, so there the stop is held.

What a process inherits is not relied on: a shell that starts it in the background and many a CI runner let it
ignore SIGINT, and Python then installs no handler. Only an ignored SIGHUP stays ignored: that is what nohup asks for.

One run at a time in a state folder, and none in a folder that is not one.

Decisions: docs/decisions/local.md (222).
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NoReturn

from recommender.contracts.folders import STATE, claim
from recommender.errors import Conflict

from local.settings import LocalRunError

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
    with suppress(ProcessLookupError, PermissionError):  # macOS gives EPERM for a group of zombies
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


STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> None:
    """From now on each of STOPS raises KeyboardInterrupt in the main thread, but a SIGHUP that nohup has put off."""
    for number in _wanted():
        signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _wanted())


@contextmanager
def heard() -> Iterator[None]:
    """Within the block each of STOPS raises KeyboardInterrupt, whatever was inherited or set before."""
    before = {number: signal.signal(number, _interrupt) for number in _wanted()}
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def held() -> Iterator[None]:
    """A stop that comes meanwhile takes effect at the end of the block; one that was ignored before has none."""
    arrived: list[int] = []
    listening = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in listening}
    try:
        yield
    finally:
        _restore(before)
    if arrived:
        raise KeyboardInterrupt


@contextmanager
def ignored() -> Iterator[None]:
    """Let a second Ctrl-C not interrupt the stopping of children."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}
    try:
        yield
    finally:
        _restore(before)


def _wanted() -> list[signal.Signals]:
    return [number for number in STOPS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


def _interrupt(_number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


class StateLock:
    """Held while the context is open; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"

    def __enter__(self) -> None:
        try:
            claim(self._path.parent, STATE)
        except Conflict as error:
            raise LocalRunError(f"{error.detail}.") from error
        self._file = self._path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise LocalRunError(f"Another run uses {self._path.parent}; stop it first.") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
