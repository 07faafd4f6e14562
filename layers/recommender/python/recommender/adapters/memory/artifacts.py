"""An artifact store in memory, with the conditional writes of S3."""

from __future__ import annotations

import hashlib
from threading import Lock

from recommender.errors import Conflict, NotFound
from recommender.ports import StoredObject


class MemoryArtifacts:
    """Objects in a dictionary; safe for several threads."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, bytes] = {}
        self._lock = Lock()

    def read(self, key: str) -> StoredObject:
        """The object. Raises NotFound."""
        content = self.objects.get(key)
        if content is None:
            raise NotFound(f"there is no artifact {key}")
        return StoredObject(content, _etag(content))

    def write(self, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Store and return the etag. Raises Conflict where the condition does not hold."""
        with self._lock:
            present = self.objects.get(key)
            if if_absent and present is not None:
                raise Conflict(f"{key} exists already")
            if if_match is not None and (present is None or _etag(present) != if_match):
                raise Conflict(f"{key} is not at {if_match} any more")
            self.objects[key] = content
        return _etag(content)


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
