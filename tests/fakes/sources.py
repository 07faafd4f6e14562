"""Fakes of ports that only tests need: artifacts, canaries, standby lists, landed events, margins."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any

from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.standby import Standby
from recommender.errors import Conflict, DependencyDown, NotFound
from recommender.ports import StoredObject


class MemoryCanaries:
    """A CanarySource."""

    def __init__(self, bundle: Bundle | None = None) -> None:
        self.bundle = bundle

    def current(self, bundle_id: str) -> Bundle:
        """The bundle of this id. Raises DependencyDown where it holds none or another."""
        if self.bundle is None or self.bundle.bundle_id != bundle_id:
            raise DependencyDown(f"canary bundle {bundle_id} is not loaded")
        return self.bundle

    def release(self) -> None:
        """Hold none."""
        self.bundle = None


class MemoryStandby:
    """A StandbySource."""

    def __init__(self, standby: Standby | None = None) -> None:
        self.standby = standby

    def current(self) -> Standby:
        """The lists. Raises DependencyDown where there are none."""
        if self.standby is None:
            raise DependencyDown("no standby lists were ever published")
        return self.standby


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


class MemoryEvents:
    """An EventSink; `batches` holds what was delivered, by day and batch id."""

    def __init__(self) -> None:
        self.batches: dict[tuple[str, str], list[Mapping[str, Any]]] = {}

    def deliver(self, batch_id: str, records: Sequence[Mapping[str, Any]], *, accepted_at: datetime) -> None:
        """Store a batch; the same batch again replaces it."""
        self.batches[accepted_at.date().isoformat(), batch_id] = list(records)


class MemoryMargins:
    """A MarginSource over a table of item id -> margin share."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.shares = shares

    def margin_shares(self, item_ids: Iterable[str]) -> Mapping[str, float]:
        """Margin as a share of the price, of the items of the table."""
        return {item_id: self.shares[item_id] for item_id in item_ids if item_id in self.shares}
