"""Sessions in memory, with the rules of the real store: versions, expiry, size and an outbox that a stream reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from recommender.adapters.session_item import to_attributes
from recommender.contracts.outbox import Accepted
from recommender.contracts.tables import SESSION_TTL_SECONDS
from recommender.domain.session import Session
from recommender.errors import Conflict
from recommender.ports import SessionState

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
