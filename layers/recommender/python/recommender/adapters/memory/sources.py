"""A bundle and a snapshot that are what they are told to be; None is a source that has nothing.

An artifact store in memory, with the conditional writes of S3.

The landing of events in memory.

Margins that are what they are told to be.

Catalogue overrides in memory.

Sessions in memory, with the rules of the real store: versions, expiry, size and an outbox that a stream reads.

Shoppers in memory.

The serving path's one read, in memory: over a session store and a shopper store, or out of order.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from recommender.adapters.session_item import to_attributes
from recommender.contracts.events import Accepted
from recommender.contracts.tables import SESSION_TTL_SECONDS, SHOPPER_TTL_SECONDS
from recommender.domain.experiments.running.config import Snapshot
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.standby import Standby
from recommender.domain.serving.visit import Session, Shopper
from recommender.errors import Conflict, DependencyDown, NotFound
from recommender.ports import SessionState, SessionStore, ShopperStore, StoredObject


class MemoryBundles:
    """A BundleSource."""

    def __init__(self, bundle: Bundle | None) -> None:
        self.bundle = bundle

    def current(self) -> Bundle:
        """The bundle. Raises DependencyDown where there is none."""
        if self.bundle is None:
            raise DependencyDown("no bundle was ever loaded")
        return self.bundle


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


class MemorySnapshots:
    """A SnapshotSource."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.snapshot = snapshot

    def current(self) -> Snapshot | None:
        """The snapshot, or None where none was ever read."""
        return self.snapshot


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


class MemoryOverrides:
    """CatalogOverrides that a test or a local run sets."""

    def __init__(self, changes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.changes: dict[str, Mapping[str, Any]] = dict(changes or {})

    def current(self) -> Mapping[str, Mapping[str, Any]]:
        """item id -> {availability, price_cents, deleted}."""
        return self.changes


TIME_TO_LIVE = timedelta(seconds=SESSION_TTL_SECONDS)


class MemorySessions:
    """A SessionStore. `outbox` holds what the table's stream would have carried, oldest first."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[SessionState, datetime]] = {}
        self.outbox: list[Accepted] = []

    def load(self, session_id: str, *, now: datetime) -> SessionState:
        """The state, or an empty one where there is none or it has expired."""
        state, expires_at = self._states.get(session_id, (None, now))
        return state if state is not None and now < expires_at else SessionState(Session(session_id))

    def accept(self, state: SessionState, accepted: Sequence[Accepted], *, now: datetime) -> None:
        """Store the successor of the version that was read."""
        session_id = state.session.session_id
        to_attributes(state, accepted)  # what the real store would refuse
        if self.load(session_id, now=now).version != state.version - 1:
            raise Conflict(f"session '{session_id}' is no longer at version {state.version - 1}")
        self._states[session_id] = (state, now + TIME_TO_LIVE)
        self.outbox += accepted


class MemoryShoppers:
    """A ShopperStore; `clock` is epoch seconds."""

    def __init__(self, shoppers: Sequence[Shopper] = (), *, clock: Callable[[], float] = time.time) -> None:
        self._shoppers: dict[str, tuple[Shopper, float]] = {}
        self._clock = clock
        self.save(shoppers)

    def load(self, shopper_id: str) -> Shopper | None:
        """The shopper, or None where there is none or its time is over."""
        shopper, expires_at = self._shoppers.get(shopper_id, (None, 0.0))
        return shopper if expires_at > self._clock() else None

    def save(self, shoppers: Sequence[Shopper]) -> None:
        """Store these shoppers, replacing older versions."""
        expires_at = self._clock() + SHOPPER_TTL_SECONDS
        self._shoppers |= {shopper.shopper_id: (shopper, expires_at) for shopper in shoppers}


class MemoryState:
    """A StateReader over two stores; `is_down` makes every read fail."""

    def __init__(self, sessions: SessionStore, shoppers: ShopperStore) -> None:
        self._sessions = sessions
        self._shoppers = shoppers
        self.is_down = False

    def read(self, *, session_id: str, shopper_ids: Sequence[str], now: datetime) -> tuple[Session, Shopper | None]:
        """The session and the first known shopper."""
        if self.is_down:
            raise DependencyDown("the state store is switched off")
        session = self._sessions.load(session_id, now=now).session
        known = (self._shoppers.load(shopper_id) for shopper_id in shopper_ids)
        return session, next((shopper for shopper in known if shopper is not None), None)
