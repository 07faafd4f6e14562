"""Work beside the requests, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

Start = Callable[[Callable[[], None]], None]


def in_background(task: Callable[[], None]) -> None:
    """Run the task on a thread that does not keep the process alive."""
    threading.Thread(target=task, name="background", daemon=True).start()


class OneAtATime:
    """Tasks beside the requests, one at a time, for which a request may wait a little."""

    def __init__(self, *, clock: Callable[[], float], start: Start = in_background) -> None:
        """`clock` gives monotonic seconds."""
        self._clock = clock
        self._start = start
        self._running = threading.Lock()
        self._ended = threading.Event()
        self._began_at = 0.0

    def begin(self, task: Callable[[], None]) -> None:
        """Run the task in the background, unless one is running."""
        if not self._running.acquire(blocking=False):
            return
        self._began_at = self._clock()
        self._ended.clear()

        def run() -> None:
            try:
                task()
            finally:
                self._ended.set()
                self._running.release()

        self._start(run)

    def wait(self, seconds: float) -> None:
        """Until the running task has ended, and no longer than `seconds` from its beginning."""
        self._ended.wait(max(0.0, self._began_at + seconds - self._clock()))
