"""When a stop (Ctrl-C, SIGTERM, SIGHUP) may interrupt the main thread, and when it must wait.

A stop raises KeyboardInterrupt wherever the main thread happens to be. Between the start of a child and
the moment somebody is responsible for it that would leave it behind, so there the stop is held.

What a process inherits is not relied on: a shell that starts it in the background and many a CI runner let it
ignore SIGINT, and Python then installs no handler. Only an ignored SIGHUP stays ignored: that is what nohup asks for.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

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
