"""Session-kNN in numpy: recent sessions like this one vote for what comes next (VSTAN)."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.domain.arrays import Counts, Floats, Rows


@dataclass(frozen=True, slots=True)
class SessionIndex:
    """Posting lists both ways. S sessions in time order, N their clicks."""

    item_offsets: Counts  # (I + 1,) into item_sessions
    item_sessions: Rows  # sessions that contain the item, newest first
    session_offsets: Counts  # (S + 1,) into session_items
    session_items: Rows  # (N,) items in order of the click
    session_days: Floats  # (S,) end of the session, in days
    idf: Floats  # (I,)
