"""Take events in: each counts once, whatever the network repeats, and no reward can be made up.

Events of a session are accepted by one conditional write on the session's item, which is also the outbox
of its table's stream. So an event is known exactly when its consequences are on their way. A reward
needs a token that this product signed for this very session and not long ago; it is counted once per
recommendation and placement, and a click is never counted without its exposure. An order counts once per
transaction id, a session once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from recommender.contracts.answers import EventsAnswer
from recommender.contracts.api import rejection
from recommender.contracts.events import Event
from recommender.contracts.fields import problem
from recommender.contracts.outbox import CLICK, EXPOSURE, ORDER, REFUND, SESSION, Accepted
from recommender.contracts.requests import EventBatch, Rejection
from recommender.contracts.tables import SESSION_TTL_SECONDS
from recommender.domain.attribution import Claims, verify
from recommender.domain.attribution import to_record as claims_record
from recommender.errors import Conflict, FieldProblem, InvalidInput
from recommender.ports import SessionState, SessionStore

ATTEMPTS: Final = 8  # writers of one session race rarely: a shopper has one browser
MAX_SESSION_EVENTS: Final = 5_000  # keeps a session's item far below DynamoDB's 400 KB
# A credited reward is remembered as long as the session's item lives after its last write. A token that
# is younger than that cannot outlive the memory of having been used.
MAX_TOKEN_AGE_SECONDS: Final = SESSION_TTL_SECONDS


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of the events of one session."""

    state: SessionState
    accepted: tuple[Accepted, ...]
    duplicates: int
    rejected: tuple[Rejection, ...]


def collect_events(batch: EventBatch, *, now: datetime, sessions: SessionStore, secret: bytes) -> EventsAnswer:
    """Accept what is new and valid. Raises DependencyDown where the store is; sending all again is safe."""
    by_session: defaultdict[str, list[tuple[int, Event]]] = defaultdict(list)
    for index, event in batch.events:
        by_session[event.session_id].append((index, event))
    accepted = duplicates = 0
    rejected = list(batch.rejected)
    for session_id, events in by_session.items():
        verdict = _accept(session_id, events, now=now, sessions=sessions, secret=secret)
        accepted += len(verdict.accepted)
        duplicates += verdict.duplicates
        rejected += verdict.rejected
    return EventsAnswer(accepted, duplicates, tuple(sorted(rejected, key=lambda wrong: wrong.index)))


def _accept(
    session_id: str, events: Sequence[tuple[int, Event]], *, now: datetime, sessions: SessionStore, secret: bytes
) -> _Verdict:
    """Judge and store; where another writer was first, judge again by what it stored."""
    for _ in range(ATTEMPTS):
        verdict = _judge(sessions.load(session_id, now=now), events, now=now, secret=secret)
        if not verdict.accepted:
            return verdict
        try:
            sessions.accept(verdict.state, verdict.accepted, now=now)
        except Conflict:
            continue
        return verdict
    busy = FieldProblem("/session_id", "a session written by others all the time", "to be sent again", "session_busy")
    return _Verdict(verdict.state, (), 0, tuple(rejection(index, busy) for index, _ in events))


def _judge(state: SessionState, events: Sequence[tuple[int, Event]], *, now: datetime, secret: bytes) -> _Verdict:
    """The successor of `state` and what it accepts; pure, so that it can be repeated after a lost race."""
    seen, credited = set(state.seen), set(state.credited)
    accepted: list[Accepted] = []
    rejected: list[Rejection] = []
    for index, event in events:
        key = digest(event.event_id)
        if key in seen:
            continue
        try:
            if len(seen) >= MAX_SESSION_EVENTS:
                raise problem("/session_id", event.session_id, f"at most {MAX_SESSION_EVENTS} events", "session_full")
            claims = _claims(event, f"/events/{index}", now=now, secret=secret)
            rewards = _credit(event, claims, credited, f"/events/{index}")
        except InvalidInput as error:
            rejected += [rejection(index, wrong) for wrong in error.problems]
            continue
        seen.add(key)
        opens = (SESSION,) if state.version == 0 and not accepted else ()
        rewards = (*rewards, *_trade(event, credited), *opens)
        accepted.append(Accepted(event, None if claims is None else claims_record(claims), rewards))
    # The token is not needed again, and the session is read with every page view.
    folded = state.session.after(*(replace(entry.event, attribution_token=None) for entry in accepted))
    successor = SessionState(folded, state.version + 1, frozenset(seen), frozenset(credited))
    return _Verdict(successor, tuple(accepted), len(events) - len(accepted) - len(rejected), tuple(rejected))


def _claims(event: Event, pointer: str, *, now: datetime, secret: bytes) -> Claims | None:
    """The verified claims of the event's token; raises InvalidInput for one that does not fit the event."""
    if event.attribution_token is None:
        return None
    pointer = f"{pointer}/attribution_token"
    claims = verify(event.attribution_token, secret, pointer=pointer)
    if claims.session_id != event.session_id:
        raise problem(pointer, claims.session_id, f"a token of session {event.session_id}", "invalid_token")
    if event.item_list_id not in (None, claims.placement):
        raise problem(pointer, claims.placement, f"a token of placement {event.item_list_id}", "invalid_token")
    age = now.timestamp() - claims.issued_at
    if age > MAX_TOKEN_AGE_SECONDS:
        raise problem(pointer, f"{age:.0f} s old", f"at most {MAX_TOKEN_AGE_SECONDS} s", "expired_token")
    return claims


def _credit(event: Event, claims: Claims | None, credited: set[bytes], pointer: str) -> tuple[str, ...]:
    """What the event newly counts; adds its keys to `credited`. Raises InvalidInput for a replayed token."""
    if claims is None or (event.event_name == "view_item_list" and not event.visible):
        return ()
    listed = [item_id for item_id in event.item_ids if claims.covers(item_id)]
    if event.item_ids and not listed:
        raise problem(f"{pointer}/items", event.item_ids[0], "an item of the list the token is for", "not_in_list")
    scope = (claims.recommendation_id, claims.placement)
    keys = {digest(*scope, event.event_name, item_id) for item_id in listed} or {digest(*scope, event.event_name, "")}
    if not keys - credited:
        raise problem(
            f"{pointer}/attribution_token",
            claims.recommendation_id,
            "a reward that was not yet counted",
            "replayed_token",
        )
    credited |= keys
    return tuple(reward for reward in _rewards(event) if _is_first(digest(*scope, reward), credited))


def _rewards(event: Event) -> tuple[str, ...]:
    """What an event of this kind stands for: who clicks has seen."""
    return {"view_item_list": (EXPOSURE,), "select_item": (EXPOSURE, CLICK)}.get(event.event_name, ())


def _trade(event: Event, credited: set[bytes]) -> tuple[str, ...]:
    """The order or refund that the event newly counts; a confirmation page that is loaded again counts nothing."""
    if event.event_name == "purchase":
        key, reward = digest(ORDER, event.transaction_id or ""), ORDER
    elif event.event_name == "refund":
        key, reward = digest(REFUND, event.transaction_id or "", *sorted(event.item_ids)), REFUND
    else:
        return ()
    # Without a transaction id nothing but its event id tells two orders apart.
    return (reward,) if event.transaction_id is None or _is_first(key, credited) else ()


def _is_first(key: bytes, credited: set[bytes]) -> bool:
    """True where the key is new; it is not new any more then."""
    is_new = key not in credited
    credited.add(key)
    return is_new


def digest(*parts: str) -> bytes:
    """8 bytes that stand for these parts, in this order."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
