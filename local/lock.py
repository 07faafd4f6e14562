"""One run at a time in a state folder, and none in a folder that is not one."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import TracebackType

from recommender.contracts.folders import STATE, claim
from recommender.errors import Conflict

from local.errors import LocalRunError


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
