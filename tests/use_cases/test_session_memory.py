"""What a session remembers of rewards and ids is small and bounded; beyond it events are kept, uncredited."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from recommender.adapters.memory.sources import MemorySessions
from recommender.adapters.session_item import to_attributes
from recommender.contracts.answers import EventsAnswer
from recommender.contracts.event_kinds import CLICK, EXPOSURE, ORDER
from recommender.contracts.events import Accepted, Event, EventItem
from recommender.contracts.requests import MAX_LIMIT
from recommender.domain.serving import credit
from recommender.domain.serving.attribution import Claims, issue
from recommender.domain.serving.credit import POSITIONS, digest
from recommender.domain.serving.visit import Session
from recommender.ports import SessionState
from recommender.use_cases import collect_events as use_case

from tests.use_cases.test_collect_events import CLAIMS, NOW, SECRET, click, codes, collect, event, rewards, seen, trade


def token(recommendation: str, placement: str = "home_hero", count: int = 12) -> tuple[Claims, str]:
    items = tuple(f"{(hash_of(placement) + n) % 90_000 + 10_000}" for n in range(count))
    claims = replace(CLAIMS, recommendation_id=f"r_{recommendation}", placement=placement, item_ids=items)
    return claims, issue(claims, SECRET)


def hash_of(text: str) -> int:
    return int.from_bytes(digest(text), "big")


def shown(number: int, recommendation: str, placement: str, *, parts: int) -> list[Event]:
    """A list of twelve that comes into view in so many parts."""
    claims, signed = token(recommendation, placement)
    size = len(claims.item_ids) // parts
    return [
        seen(f"3f2c-{number:05}-seen-{part}", *claims.item_ids[part * size : (part + 1) * size], token=signed)
        for part in range(parts)
    ]


def stored_bytes(sessions: MemorySessions) -> int:
    """The size of the session's item without what its last write handed on."""
    return sum(map(len, to_attributes(sessions.load("s1", now=NOW), []).values()))


def send(sessions: MemorySessions, events: Sequence[Event], *, size: int = 20) -> list[EventsAnswer]:
    return [collect(sessions, *events[start : start + size]) for start in range(0, len(events), size)]


def test_after_12_pages_of_12_placements_the_item_is_within_8_kb() -> None:
    sessions = MemorySessions()
    for page in range(12):
        lists = [shown(page * 12 + n, f"{page}", f"placement_{n}", parts=3) for n in range(12)]
        claims, signed = token(f"{page}", "placement_0")
        clicked = claims.item_ids[0]
        acted = [click(f"c-{page}", clicked, signed), event(f"v-{page}", "view_item", clicked)]
        acted.append(event(f"a-{page}", "add_to_cart", clicked))
        answers = send(sessions, [*(one for entries in lists for one in entries), *acted])
        assert all(not answer.rejected and not answer.warnings for answer in answers)

    assert sessions.load("s1", now=NOW).session.impressions == 12 * 12 * 3
    assert [reward for _, found in rewards(sessions) for reward in found].count(EXPOSURE) == 144
    assert stored_bytes(sessions) <= 8 * 1024


def test_after_500_impressions_the_item_is_within_32_kb_and_the_visit_is_what_it_was() -> None:
    sessions = MemorySessions()
    collect(sessions, event("e1", "add_to_cart", "A"), event("e2", "purchase", "B"), event("e3", "view_item", "C"))
    before = sessions.load("s1", now=NOW).session

    send(sessions, [one for n in range(500) for one in shown(n, f"{n}", "home_hero", parts=1)])

    after = sessions.load("s1", now=NOW).session
    assert stored_bytes(sessions) <= 32 * 1024
    assert (after.events, after.cart, after.bought, after.viewed) == (
        before.events,
        before.cart,
        before.bought,
        before.viewed,
    )
    assert [reward for _, found in rewards(sessions) for reward in found].count(EXPOSURE) == 500


def test_past_the_cap_events_are_accepted_and_landed_uncredited_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit, "MAX_LISTS", 2)
    sessions = MemorySessions()
    signed = [token(f"{n}") for n in range(3)]

    answer = collect(sessions, *(click(f"e{n}", claims.item_ids[0], text) for n, (claims, text) in enumerate(signed)))

    assert (answer.accepted, answer.rejected) == (3, ())
    assert [(caveat.index, caveat.code) for caveat in answer.warnings] == [(2, "session_full")]
    assert rewards(sessions) == [("e0", (EXPOSURE, CLICK)), ("e1", (EXPOSURE, CLICK)), ("e2", ())]
    assert sessions.outbox[2].claims is not None  # what the token says is verified all the same
    first, text = signed[0]
    assert collect(sessions, click("e9", first.item_ids[1], text)).warnings == ()  # known lists go on


def test_orders_past_the_cap_are_accepted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit, "MAX_DIGESTS", 1)
    sessions = MemorySessions()

    answer = collect(sessions, *(event(f"e{n}", "purchase", "A", transaction_id=f"o{n}") for n in range(2)))

    assert (answer.accepted, [caveat.code for caveat in answer.warnings]) == (2, ["session_full"])
    assert [reward for _, reward in trade(sessions)].count(ORDER) == 1


def test_an_id_is_known_for_hundreds_of_events_and_what_was_forgotten_counts_nothing_twice() -> None:
    sessions = MemorySessions()
    claims, signed = token("1")
    early = [
        click("click", claims.item_ids[0], signed),
        event("order", "purchase", "A", transaction_id="o1"),
        event("order without id", "purchase", "B"),
        event("added", "add_to_cart", "A"),
    ]
    collect(sessions, *early)
    counted, cart = (rewards(sessions), trade(sessions)), sessions.load("s1", now=NOW).session.cart
    others = [event(f"x{n}", "search", search_term="tea") for n in range(3 * use_case.REMEMBERED_IDS)]

    send(sessions, others[: use_case.REMEMBERED_IDS - len(early)], size=100)
    assert collect(sessions, *early) == EventsAnswer(accepted=0, duplicates=4)

    send(sessions, others[use_case.REMEMBERED_IDS :], size=100)
    again = collect(sessions, *early)

    assert (again.accepted, codes(again)) == (3, [(0, "replayed_token")])
    found = [pair for pair in rewards(sessions) if pair[1]], trade(sessions)
    assert found == ([pair for pair in counted[0] if pair[1]], counted[1])
    assert sessions.load("s1", now=NOW).session.cart == cart
    state = sessions.load("s1", now=NOW)
    assert len(state.seen) + len(state.seen_before) <= 2 * use_case.REMEMBERED_IDS


def test_a_click_without_items_does_not_count_and_is_told() -> None:
    sessions = MemorySessions()
    _, signed = token("1")

    answer = collect(sessions, event("e1", "select_item", token=signed))

    assert (answer.accepted, rewards(sessions)) == (1, [("e1", ())])
    assert [(caveat.code, caveat.pointer) for caveat in answer.warnings] == [("uncredited", "/events/0/items")]


def test_a_click_that_lists_one_own_and_one_foreign_item_credits_only_the_own() -> None:
    sessions = MemorySessions()
    claims, signed = token("1")
    own = claims.item_ids[4]

    answer = collect(sessions, event("e1", "select_item", own, "foreign", token=signed))

    assert rewards(sessions) == [("e1", (EXPOSURE, CLICK))]
    assert sessions.outbox[0].event.item_ids == (own,)
    assert [(caveat.code, caveat.value) for caveat in answer.warnings] == [("not_in_list", "'foreign'")]
    assert codes(collect(sessions, click("e2", own, signed))) == [(0, "replayed_token")]


def test_what_the_version_before_credited_is_not_credited_again() -> None:
    """It kept a digest of each reward and of each item reported."""
    claims, signed = token("1")
    first, second = claims.item_ids[:2]
    scope = (claims.recommendation_id, claims.placement)
    kept = frozenset({digest(*scope, "select_item", first), digest(*scope, EXPOSURE), digest(*scope, CLICK)})
    sessions = MemorySessions()
    sessions.accept(SessionState(Session("s1"), 1, credited=kept), [], now=NOW)

    answer = collect(sessions, click("e1", first, signed), click("e2", second, signed))

    assert (codes(answer), rewards(sessions)) == ([(0, "replayed_token")], [("e2", ())])


def test_a_mask_has_a_bit_for_every_position_of_a_list() -> None:
    claims, signed = token("1", count=MAX_LIMIT)
    sessions = MemorySessions()

    answers = send(sessions, [click(f"e{n}", item, signed) for n, item in enumerate(claims.item_ids)])

    assert MAX_LIMIT < POSITIONS
    assert sum(answer.accepted for answer in answers) == MAX_LIMIT
    assert codes(collect(sessions, click("again", claims.item_ids[-1], signed))) == [(0, "replayed_token")]


def large(number: int) -> Event:
    """An event that is legal and hard to compress: 200 ids of 128 characters."""
    ids = ["".join(f"{hash_of(f'{number} {n} {part}'):016x}" for part in range(8)) for n in range(200)]
    return Event(
        f"e{number}", "view_item", NOW + timedelta(seconds=number), "v1", "s1", items=tuple(map(EventItem, ids))
    )


def test_a_legal_batch_that_is_larger_than_an_item_of_the_store_is_taken_in_several_writes() -> None:
    sessions = MemorySessions()
    batch = [large(n) for n in range(40)]

    answer = collect(sessions, *batch)

    assert (answer.accepted, answer.rejected) == (40, ())
    assert [accepted.event.event_id for accepted in sessions.outbox] == [f"e{n}" for n in range(40)]
    assert collect(sessions, *batch) == EventsAnswer(accepted=0, duplicates=40)


class Narrow(MemorySessions):
    """Sessions in which the event "huge" has no room."""

    def accept(self, state: SessionState, accepted: Sequence[Accepted], *, now: datetime) -> None:
        noise = random.Random(0).randbytes(400_000).hex()
        padded = [
            replace(entry, event=replace(entry.event, attribution_token=noise))
            if entry.event.event_id == "huge"
            else entry
            for entry in accepted
        ]
        super().accept(state, padded, now=now)


def test_an_event_that_no_write_holds_is_refused_alone() -> None:
    sessions = Narrow()

    answer = collect(sessions, event("e1"), event("huge"), event("e3"))

    assert (answer.accepted, codes(answer)) == (2, [(1, "session_full")])
