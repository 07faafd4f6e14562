"""The weights snapshot in process memory: no read on the serving path while it is warm.

Up to half its time to live a snapshot is fresh. Then it is refreshed in the background while the old one
serves; past its time to live a caller waits for the new one, so that a kill switch is honoured in time
even in a process that slept. When the store fails, the last good snapshot serves on and the next attempt
waits, so that a dead store does not slow every request.

Decisions: docs/decisions/experiments-operation.md (065).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from recommender.adapters.background import Start, in_background
from recommender.domain.experiments.running.config import NO_EXPERIMENTS, Snapshot
from recommender.errors import DependencyDown

UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)  # what malformed items raise


def ignore(_failure: DependencyDown) -> None:
    """The default reaction to a failed read."""


class CachedSnapshots:
    """A SnapshotSource over `load`. `on_failure` is called for every failed read."""

    def __init__(
        self,
        load: Callable[[], Snapshot | None],
        *,
        ttl_seconds: float,
        on_failure: Callable[[DependencyDown], None] = ignore,
        clock: Callable[[], float] = time.monotonic,
        start: Start = in_background,
    ) -> None:
        self._load = load
        self._ttl_seconds = ttl_seconds
        self._on_failure = on_failure
        self._clock = clock
        self._start = start
        self._reading = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._read_at = -float("inf")  # of the last good read
        self._next_attempt_at = -float("inf")

    def current(self) -> Snapshot | None:
        """The snapshot in force; None where the store never answered."""
        now = self._clock()
        if now < self._next_attempt_at:
            return self._snapshot
        if self._snapshot is not None and now < self._read_at + self._ttl_seconds:
            if self._reading.acquire(blocking=False):
                self._start(self._refresh_and_release)
            return self._snapshot
        with self._reading:
            if self._clock() >= self._next_attempt_at:  # else another thread has just read it
                self._refresh()
        return self._snapshot

    def _refresh_and_release(self) -> None:
        try:
            self._refresh()
        finally:
            self._reading.release()

    def _refresh(self) -> None:
        try:
            self._snapshot = self._load() or NO_EXPERIMENTS
            self._read_at = self._clock()
        except DependencyDown as failure:
            self._on_failure(failure)
        except UNREADABLE as error:  # the last good snapshot serves on
            self._on_failure(DependencyDown(f"the stored snapshot cannot be read: {error!r}"))
        self._next_attempt_at = self._clock() + self._ttl_seconds / 2
