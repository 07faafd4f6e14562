"""Sources and stores in memory, for benchmarks and tests; None is a source that has nothing.

Sessions keep the rules of the real store: versions, expiry, size and an outbox that a stream reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from recommender.adapters.session_item import to_attributes
from recommender.contracts.events import Accepted
from recommender.contracts.tables import SESSION_TTL_SECONDS, SHOPPER_TTL_SECONDS
from recommender.domain.experiments.running.config import Snapshot
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.visit import Session, Shopper
from recommender.errors import Conflict, DependencyDown
from recommender.ports import SessionState, SessionStore, ShopperStore


class MemoryBundles:
    """A BundleSource."""

    def __init__(self, bundle: Bundle | None) -> None:
        self.bundle = bundle

    def current(self) -> Bundle:
        """The bundle. Raises DependencyDown where there is none."""
        if self.bundle is None:
            raise DependencyDown("no bundle was ever loaded")
        return self.bundle


class MemorySnapshots:
    """A SnapshotSource."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.snapshot = snapshot

    def current(self) -> Snapshot | None:
        """The snapshot, or None where none was ever read."""
        return self.snapshot


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
