"""Take events in: each counts once, whatever the network repeats, and no reward can be made up.

Events of a session are accepted by one conditional write on the session's item, which is also the outbox
of its table's stream. So an event is known exactly when its consequences are on their way. A reward
needs a token that this product signed for this very session and not long ago; it is counted once per
recommendation and placement, and a click is never counted without its exposure. An order counts once per
transaction id, a session once. The memory of a session is bounded: beyond it events are accepted and handed on,
but count nothing, and the answer says so.

Decisions: docs/decisions/serving.md (054, 231).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from recommender.contracts.answers import EventsAnswer
from recommender.contracts.api import rejection
from recommender.contracts.event_kinds import CLICK, SESSION
from recommender.contracts.events import Accepted, Event
from recommender.contracts.fields import problem
from recommender.contracts.requests import Caveat, EventBatch, Rejection
from recommender.contracts.tables import SESSION_TTL_SECONDS
from recommender.domain.serving.attribution import Claims, verify
from recommender.domain.serving.attribution import to_record as claims_record
from recommender.domain.serving.credit import MAX_DIGESTS, MAX_LISTS, REWARDS, Credits, digest
from recommender.domain.serving.visit import Session
from recommender.errors import Conflict, FieldProblem, InvalidInput, TooLarge
from recommender.ports import SessionState, SessionStore

ATTEMPTS: Final = 8  # writers of one session race rarely: a shopper has one browser
# An id is remembered until at least so many newer ones were accepted. Of what is sent again later than that nothing
# counts twice (domain/serving/credit.py), and the warehouse keeps the first delivery.
REMEMBERED_IDS: Final = 512
# A credited reward is remembered as long as the session's item lives after its last write. A token that
# is younger than that cannot outlive the memory of having been used.
MAX_TOKEN_AGE_SECONDS: Final = SESSION_TTL_SECONDS

Numbered = tuple[int, Event]  # an event with its place in the batch


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The outcome for the events of one session."""

    state: SessionState
    accepted: tuple[Accepted, ...] = ()
    duplicates: int = 0
    rejected: tuple[Rejection, ...] = ()
    warnings: tuple[Caveat, ...] = ()

    def followed_by(self, later: _Verdict) -> _Verdict:
        """Both verdicts as one."""
        return _Verdict(
            later.state,
            self.accepted + later.accepted,
            self.duplicates + later.duplicates,
            self.rejected + later.rejected,
            self.warnings + later.warnings,
        )


def collect_events(batch: EventBatch, *, now: datetime, sessions: SessionStore, secret: bytes) -> EventsAnswer:
    """Accept what is new and valid. Raises DependencyDown where the store is; sending all again is safe."""
    by_session: defaultdict[str, list[Numbered]] = defaultdict(list)
    for index, event in batch.events:
        by_session[event.session_id].append((index, event))
    verdicts = [
        _accept(session_id, events, now=now, sessions=sessions, secret=secret)
        for session_id, events in by_session.items()
    ]
    rejected = [*batch.rejected, *(wrong for verdict in verdicts for wrong in verdict.rejected)]
    warnings = [caveat for verdict in verdicts for caveat in verdict.warnings]
    return EventsAnswer(
        sum(len(verdict.accepted) for verdict in verdicts),
        sum(verdict.duplicates for verdict in verdicts),
        tuple(sorted(rejected, key=lambda wrong: wrong.index)),
        tuple(sorted(warnings, key=lambda caveat: caveat.index)),
    )


def _accept(
    session_id: str, events: Sequence[Numbered], *, now: datetime, sessions: SessionStore, secret: bytes
) -> _Verdict:
    """Judge and store; what is too large for one write is stored in two."""
    try:
        return _accept_at_once(session_id, events, now=now, sessions=sessions, secret=secret)
    except TooLarge as error:
        if len(events) == 1:
            full = FieldProblem("/session_id", error.detail, "an event that the session has room for", "session_full")
            return _Verdict(SessionState(Session(session_id)), rejected=_refused(events, full))
    half = len(events) // 2
    first = _accept(session_id, events[:half], now=now, sessions=sessions, secret=secret)
    return first.followed_by(_accept(session_id, events[half:], now=now, sessions=sessions, secret=secret))


def _accept_at_once(
    session_id: str, events: Sequence[Numbered], *, now: datetime, sessions: SessionStore, secret: bytes
) -> _Verdict:
    """Judge and store; where another writer was first, judge again by what it stored. Raises TooLarge."""
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
    return _Verdict(verdict.state, rejected=_refused(events, busy))


def _judge(state: SessionState, events: Sequence[Numbered], *, now: datetime, secret: bytes) -> _Verdict:
    """The successor of `state` and what it accepts; pure, so that it can be repeated after a lost race."""
    memory = _Memory(set(state.seen), state.seen_before)
    credits_ = Credits(dict(state.lists), set(state.credited))
    accepted: list[Accepted] = []
    rejected: list[Rejection] = []
    warnings: list[Caveat] = []
    for index, event in events:
        if memory.knows(event):
            continue
        pointer = f"/events/{index}"
        try:
            claims = _claims(event, pointer, now=now, secret=secret)
            of_list = credits_.credit_list(event, claims, pointer)
        except InvalidInput as error:
            rejected += [rejection(index, wrong) for wrong in error.problems]
            continue
        memory.add(event)
        own = _own_items(event, claims)
        of_trade = credits_.credit_trade(own)
        opens = (SESSION,) if state.version == 0 and not accepted else ()
        rewards = (*of_list.rewards, *of_trade.rewards, *opens)
        accepted.append(Accepted(own, None if claims is None else claims_record(claims), rewards))
        warnings += _caveats(index, event, own, claims, is_full=of_list.is_full or of_trade.is_full)
    # The token is not needed again, and the session is read with every page view.
    folded = state.session.after(*(replace(entry.event, attribution_token=None) for entry in accepted))
    successor = SessionState(
        folded,
        state.version + 1,
        seen=frozenset(memory.newest),
        seen_before=memory.before,
        credited=frozenset(credits_.digests),
        lists=credits_.lists,
    )
    duplicates = len(events) - len(accepted) - len(rejected)
    return _Verdict(successor, tuple(accepted), duplicates, tuple(rejected), tuple(warnings))


@dataclass(slots=True)
class _Memory:
    """The ids of a session in two generations, so that the newest REMEMBERED_IDS are always known."""

    newest: set[bytes]
    before: frozenset[bytes]

    def knows(self, event: Event) -> bool:
        key = digest(event.event_id)
        return key in self.newest or key in self.before

    def add(self, event: Event) -> None:
        if len(self.newest) >= REMEMBERED_IDS:
            self.newest, self.before = set(), frozenset(self.newest)
        self.newest.add(digest(event.event_id))


def _refused(events: Sequence[Numbered], wrong: FieldProblem) -> tuple[Rejection, ...]:
    return tuple(rejection(index, wrong) for index, _ in events)


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


def _own_items(event: Event, claims: Claims | None) -> Event:
    """The event without items that its list did not hold, where it tells of a list."""
    if claims is None or event.event_name not in REWARDS:
        return event
    return replace(event, items=tuple(item for item in event.items if claims.covers(item.item_id)))


def _caveats(index: int, event: Event, own: Event, claims: Claims | None, *, is_full: bool) -> list[Caveat]:
    """List the parts of an accepted event that do not count."""
    caveats = []
    foreign = sorted(set(event.item_ids) - set(own.item_ids))
    if foreign:
        wrong = problem(f"/events/{index}/items", foreign[0], "items of the list the token is for", "not_in_list")
        caveats += [_caveat(index, found) for found in wrong.problems]
    if claims is not None and CLICK in REWARDS.get(event.event_name, ()) and not event.items:
        wrong = problem(f"/events/{index}/items", [], "the item of the list that was clicked", "uncredited")
        caveats += [_caveat(index, found) for found in wrong.problems]
    if is_full:
        expected = f"at most {MAX_LISTS} lists and {MAX_DIGESTS} orders of one session"
        caveats.append(Caveat(index, "session_full", f"/events/{index}", "uncredited", expected))
    return caveats


def _caveat(index: int, found: FieldProblem) -> Caveat:
    return Caveat(index, found.code, found.pointer, found.value, found.expected)
