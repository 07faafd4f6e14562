"""Work beside the requests, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

Start = Callable[[Callable[[], None]], None]


def in_background(task: Callable[[], None]) -> None:
    """Run the task on a thread that does not keep the process alive."""
    threading.Thread(target=task, name="background", daemon=True).start()
