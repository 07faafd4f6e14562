"""The schedule of the local run: one function, every so many seconds, as EventBridge Scheduler would start it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from local.runtime_api import Outcome


def scheduled_event(now: datetime) -> dict[str, Any]:
    """The event of a scheduled start."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {},
    }


class Schedule:
    """Calls `invoke` with a scheduled event once a period; the first time after one period."""

    def __init__(self, invoke: Callable[[Mapping[str, Any]], Outcome], *, period_seconds: float) -> None:
        self._invoke, self._period = invoke, period_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a start that is under way finishes."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            self._invoke(scheduled_event(datetime.now(UTC)))
