"""An artifact store in a folder: what the local run keeps between starts.

Files are written beside their place and renamed, so a reader sees the old or the new one and never
half of one. Conditional writes hold a lock file, which also works between processes.

Decisions: docs/decisions/bundle.md (047).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from recommender.errors import Conflict, DependencyDown, NotFound
from recommender.ports import StoredObject

LOCK = ".lock"


class FolderArtifacts:
    """Keys are paths below `root`."""

    def __init__(self, root: Path) -> None:
        """The folder is made at the first write."""
        self.root = root

    def read(self, key: str) -> StoredObject:
        """The object. Raises NotFound."""
        try:
            content = self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFound(f"there is no artifact {key} in {self.root}") from None
        except OSError as error:
            raise DependencyDown(f"{key} cannot be read from {self.root}: {error}") from error
        return StoredObject(content, _etag(content))

    def write(self, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Store and return the etag. Raises Conflict where the condition does not hold."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._check(key, if_match=if_match, if_absent=if_absent)
                replace_file(path, content)
        except OSError as error:
            raise DependencyDown(f"{key} cannot be written to {self.root}: {error}") from error
        return _etag(content)

    def _check(self, key: str, *, if_match: str | None, if_absent: bool) -> None:
        path = self._path(key)
        if if_absent and path.exists():
            raise Conflict(f"{key} exists already")
        if if_match is not None and (not path.exists() or _etag(path.read_bytes()) != if_match):
            raise Conflict(f"{key} is not at {if_match} any more")

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise NotFound(f"{key!r} is no artifact key: expected a relative path without ..")
        return self.root.joinpath(*parts)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
            yield


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: readers see all of it or what was there before."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
