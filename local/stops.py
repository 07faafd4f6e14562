"""When a stop (Ctrl-C, SIGTERM, SIGHUP) may interrupt the main thread, and when it must wait.

A stop raises KeyboardInterrupt wherever the main thread happens to be. Between the start of a child and
the moment somebody is responsible for it that would leave it behind, so there the stop is held.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> None:
    """From now on each of STOPS raises KeyboardInterrupt in the main thread."""
    for number in STOPS:
        signal.signal(number, _interrupt)


@contextmanager
def held() -> Iterator[None]:
    """A stop that comes meanwhile takes effect at the end of the block."""
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        raise KeyboardInterrupt


@contextmanager
def ignored() -> Iterator[None]:
    """Let a second Ctrl-C not interrupt the stopping of children."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt
