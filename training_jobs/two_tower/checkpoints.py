"""Checkpoints of a spot job: written whole or not at all, and one more when SageMaker sends SIGTERM.

The signal only raises a flag; training saves and leaves at its next step, so that no state is torn.
"""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch

TERMINATED = 128 + signal.SIGTERM  # exit code of a process that obeyed SIGTERM


class Checkpoints:
    """One checkpoint file, and whether the job has been asked to stop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_interrupted = False

    def listen(self) -> None:
        """From now on SIGTERM asks for a last checkpoint."""
        signal.signal(signal.SIGTERM, self._interrupt)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        partial = self._path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._path)

    def load(self) -> dict[str, Any] | None:
        """The checkpoint, or None where there is none."""
        if not self._path.is_file():
            return None
        state: dict[str, Any] = torch.load(self._path, weights_only=True)
        return state

    def clear(self) -> None:
        """Forget it: the run has ended."""
        self._path.unlink(missing_ok=True)

    @staticmethod
    def leave() -> None:
        """Leave with the exit code of a terminated process."""
        raise SystemExit(TERMINATED)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True
