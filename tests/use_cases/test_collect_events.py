"""Each event counts once, and no reward can be made up, replayed or moved to another session."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from recommender.adapters.memory.sources import MemorySessions
from recommender.contracts.answers import EventsAnswer
from recommender.contracts.event_kinds import CLICK, EXPOSURE
from recommender.contracts.events import Accepted, Event, EventItem
from recommender.contracts.requests import EventBatch, Rejection
from recommender.domain.serving.attribution import Claims, issue
from recommender.errors import Conflict, DependencyDown
from recommender.ports import SessionState
from recommender.use_cases import collect_events as use_case
from recommender.use_cases.collect_events import collect_events

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = b"a secret of the tests"
CLAIMS = Claims(
    recommendation_id="r1",
    placement="pdp_similar",
    experiment="exp_default",
    config_version=1,
    epoch=7,
    variant="hybrid",
    propensity=0.4,
    item_ids=("A", "B", "C"),
    issued_at=int(NOW.timestamp()) - 60,
    session_id="s1",
)
TOKEN = issue(CLAIMS, SECRET)


def event(event_id: str, name: str = "view_item", *item_ids: str, token: str | None = None, **changes: object) -> Event:
    found = Event(event_id, name, NOW, "v1", "s1", items=tuple(map(EventItem, item_ids)), attribution_token=token)
    return replace(found, **changes)  # type: ignore[arg-type]


def seen(event_id: str, *item_ids: str, token: str = TOKEN) -> Event:
    return event(event_id, "view_item_list", *item_ids, token=token, visible=True)


def click(event_id: str, item_id: str, token: str = TOKEN) -> Event:
    return event(event_id, "select_item", item_id, token=token)


def collect(sessions: MemorySessions, *events: Event, secret: bytes = SECRET, now: datetime = NOW) -> EventsAnswer:
    batch = EventBatch(tuple(enumerate(events)))
    return collect_events(batch, now=now, sessions=sessions, secret=secret)


def rewards(sessions: MemorySessions) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (accepted.event.event_id, tuple(reward for reward in accepted.rewards if reward in (EXPOSURE, CLICK)))
        for accepted in sessions.outbox
    ]


def trade(sessions: MemorySessions) -> list[tuple[str, str]]:
    return [
        (accepted.event.event_id, reward)
        for accepted in sessions.outbox
        for reward in accepted.rewards
        if reward not in (EXPOSURE, CLICK)
    ]


def codes(answer: EventsAnswer) -> list[tuple[int, str]]:
    return [(wrong.index, wrong.code) for wrong in answer.rejected]


def test_new_events_are_accepted_into_their_session() -> None:
    sessions = MemorySessions()

    answer = collect(sessions, event("e1", "view_item", "A"), event("e2", "add_to_cart", "A"))

    assert answer == EventsAnswer(accepted=2, duplicates=0)
    assert sessions.load("s1", now=NOW).session.cart == ("A",)
    assert [accepted.event.event_id for accepted in sessions.outbox] == ["e1", "e2"]


def test_the_same_event_sent_three_times_counts_once() -> None:
    sessions = MemorySessions()

    answers = [collect(sessions, click("e1", "A")) for _ in range(2)] + [
        collect(sessions, click("e1", "A"), click("e1", "A"))
    ]

    assert [(answer.accepted, answer.duplicates) for answer in answers] == [(1, 0), (0, 1), (0, 2)]
    assert rewards(sessions) == [("e1", ("exposure", "click"))]


def test_events_of_several_sessions_are_stored_each_with_its_own() -> None:
    sessions = MemorySessions()

    collect(sessions, event("e1", "view_item", "A"), event("e1", "view_item", "B", session_id="s2"))

    assert sessions.load("s1", now=NOW).session.viewed == ("A",)
    assert sessions.load("s2", now=NOW).session.viewed == ("B",)


def test_what_a_token_attests_travels_with_the_event_but_not_with_the_session() -> None:
    sessions = MemorySessions()

    collect(sessions, click("e1", "B"))

    claims = sessions.outbox[0].claims
    assert claims is not None
    assert (claims["epoch"], claims["variant"], claims["propensity"]) == (7, "hybrid", 0.4)
    assert sessions.load("s1", now=NOW).session.events[0].attribution_token is None


def test_a_list_is_seen_once_and_clicked_once_however_often_it_is_reported() -> None:
    sessions = MemorySessions()

    collect(sessions, seen("e1", "A"), seen("e2", "B", "C"), click("e3", "A"), click("e4", "B"))

    assert rewards(sessions) == [("e1", ("exposure",)), ("e2", ()), ("e3", ("click",)), ("e4", ())]


def test_a_click_whose_impression_was_lost_counts_both_so_that_clicks_never_exceed_exposures() -> None:
    sessions = MemorySessions()

    collect(sessions, click("e1", "A"))
    answer = collect(sessions, seen("e2", "A", "B"))

    assert answer.accepted == 1
    assert rewards(sessions) == [("e1", ("exposure", "click")), ("e2", ())]


def test_a_list_out_of_view_counts_nothing() -> None:
    sessions = MemorySessions()

    collect(sessions, replace(seen("e1", "A"), visible=False))

    assert rewards(sessions) == [("e1", ())]


def test_a_reward_reported_again_under_a_new_event_id_is_a_replay() -> None:
    sessions = MemorySessions()

    answer = collect(sessions, click("e1", "A"), click("e2", "A"), event("e3", "view_item", "A"))

    assert codes(answer) == [(1, "replayed_token")]
    assert (answer.accepted, answer.rejected[0].pointer) == (2, "/events/1/attribution_token")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (TOKEN[:-2] + "xx", "invalid_token"),
        ("v1.e30.e30", "invalid_token"),
        (issue(CLAIMS, b"another secret, not ours"), "invalid_token"),
        (issue(replace(CLAIMS, session_id="s2"), SECRET), "invalid_token"),
        (issue(replace(CLAIMS, placement="home_hero"), SECRET), "invalid_token"),
        (issue(replace(CLAIMS, issued_at=CLAIMS.issued_at - 24 * 3600), SECRET), "expired_token"),
        (issue(replace(CLAIMS, item_ids=("X",)), SECRET), "not_in_list"),
    ],
)
def test_a_token_that_does_not_fit_is_refused_and_the_rest_of_the_batch_is_kept(token: str, code: str) -> None:
    sessions = MemorySessions()
    forged = replace(click("e1", "A", token), item_list_id="pdp_similar")

    answer = collect(sessions, forged, event("e2", "view_item", "A"))

    assert codes(answer) == [(0, code)]
    assert rewards(sessions) == [("e2", ())]


def test_a_refused_event_can_be_sent_again_put_right() -> None:
    sessions = MemorySessions()

    collect(sessions, click("e1", "A", "v1.forged.token"))
    answer = collect(sessions, click("e1", "A"))

    assert answer.accepted == 1


def test_an_item_that_the_catalogue_does_not_know_is_recorded_all_the_same() -> None:
    assert collect(MemorySessions(), event("e1", "view_item", "newer than the bundle")).accepted == 1


def test_refusals_of_the_parser_and_of_the_tokens_are_listed_in_order() -> None:
    unread = Rejection(0, "unknown_event", "/events/0/event_name", "'look'", "one of …")
    batch = EventBatch(((1, click("e1", "A", "v1.forged.token")), (2, event("e2"))), (unread,))

    answer = collect_events(batch, now=NOW, sessions=MemorySessions(), secret=SECRET)

    assert codes(answer) == [(0, "unknown_event"), (1, "invalid_token")]
    assert answer.accepted == 1


def test_the_first_accepted_event_of_a_session_opens_it() -> None:
    sessions = MemorySessions()

    collect(sessions, click("e1", "A", "v1.forged.token"), event("e2"), event("e3"))
    collect(sessions, event("e4"), event("e5", session_id="s2"))

    assert trade(sessions) == [("e2", "session"), ("e5", "session")]


def test_an_order_counts_once_however_often_its_confirmation_is_shown() -> None:
    sessions = MemorySessions()

    for number, order in enumerate(["o1", "o1", "o2", None, None], start=1):
        collect(sessions, event(f"e{number}", "purchase", "A", transaction_id=order))

    assert trade(sessions) == [("e1", "order"), ("e1", "session"), ("e3", "order"), ("e4", "order"), ("e5", "order")]


def test_two_refunds_of_an_order_are_told_apart_by_their_items() -> None:
    sessions = MemorySessions()

    for number, items in enumerate([("A",), ("B", "A"), ("A",), ("A", "B")], start=1):
        collect(sessions, event(f"e{number}", "refund", *items, transaction_id="o1"))

    assert [kind for kind in trade(sessions) if kind[1] == "refund"] == [("e1", "refund"), ("e2", "refund")]


def test_a_purchase_with_a_token_that_is_refused_can_be_sent_again() -> None:
    sessions = MemorySessions()

    collect(sessions, event("e1", "purchase", "A", token="v1.forged.token", transaction_id="o1"))
    collect(sessions, event("e1", "purchase", "A", transaction_id="o1"))

    assert trade(sessions) == [("e1", "order"), ("e1", "session")]


class Racing(MemorySessions):
    """Sessions that another writer gets to first, a given number of times."""

    def __init__(self, others: Sequence[Event]) -> None:
        super().__init__()
        self.others = list(others)

    def accept(self, state: SessionState, accepted: Sequence[Accepted], *, now: datetime) -> None:
        if self.others:
            other = self.others.pop()
            collect_events(EventBatch(((0, other),)), now=now, sessions=self, secret=SECRET)
        super().accept(state, accepted, now=now)


def test_after_a_lost_race_the_events_are_judged_by_what_the_winner_stored() -> None:
    sessions = Racing([click("e1", "A")])

    answer = collect(sessions, click("e1", "A"), event("e2", "view_item", "B"))

    assert (answer.accepted, answer.duplicates) == (1, 1)
    assert sessions.load("s1", now=NOW).session.viewed == ("A", "B")
    assert rewards(sessions) == [("e1", ("exposure", "click")), ("e2", ())]


class Stubborn(MemorySessions):
    """Sessions in which every race is lost."""

    def accept(self, state: SessionState, accepted: Sequence[Accepted], *, now: datetime) -> None:
        raise Conflict("another writer")


def test_a_session_that_others_write_all_the_time_is_given_up_with_a_reason() -> None:
    assert codes(collect(Stubborn(), event("e1"), event("e2"))) == [(0, "session_busy"), (1, "session_busy")]


class Dead(MemorySessions):
    """Sessions whose store is gone."""

    def load(self, session_id: str, *, now: datetime) -> SessionState:
        raise DependencyDown("no store")


def test_a_dead_store_is_said_so_because_sending_again_is_safe() -> None:
    with pytest.raises(DependencyDown):
        collect(Dead(), event("e1"))


def test_however_a_stream_of_events_is_cut_repeated_and_shuffled_it_counts_the_same() -> None:
    tokens = [issue(replace(CLAIMS, recommendation_id=f"r{n}"), SECRET) for n in range(5)]
    events = [seen(f"seen-{n}", "A", "B", token=token) for n, token in enumerate(tokens)]
    events += [click(f"click-{n}", "A", token) for n, token in enumerate(tokens[:3])]

    for seed in range(20):
        rng = random.Random(seed)
        sessions = MemorySessions()
        stream = events * 3
        rng.shuffle(stream)
        while stream:
            size = rng.randint(1, 7)
            collect(sessions, *stream[:size])
            stream = stream[size:]

        counted = [reward for _, found in rewards(sessions) for reward in found]
        assert (counted.count("exposure"), counted.count("click")) == (5, 3)


def test_a_reward_is_not_forgotten_while_its_token_is_valid() -> None:
    """The session's item outlives the token: both live a day, and crediting renews the item."""
    sessions = MemorySessions()
    collect(sessions, click("e1", "A"))

    late = NOW + timedelta(seconds=CLAIMS.issued_at + use_case.MAX_TOKEN_AGE_SECONDS - NOW.timestamp())
    assert codes(collect(sessions, click("e2", "A"), now=late)) == [(0, "replayed_token")]
    assert codes(collect(sessions, click("e2", "A"), now=late + timedelta(seconds=1))) == [(0, "expired_token")]
