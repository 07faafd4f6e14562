"""The serving path's one read, in memory: over a session store and a shopper store, or out of order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recommender.domain.session import Session
from recommender.domain.shopper import Shopper
from recommender.errors import DependencyDown
from recommender.ports import SessionStore, ShopperStore


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
