"""What every SessionStore must do. Subclass it with a `store` fixture."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from recommender.contracts.events import Accepted, Event, EventItem
from recommender.domain.serving.visit import Folded, Session
from recommender.errors import Conflict, TooLarge
from recommender.ports import SessionState, SessionStore

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
EVENT = Event(
    event_id="e1",
    event_name="add_to_cart",
    event_time=NOW,
    visitor_id="v1",
    session_id="s1",
    user_id="ü1",
    items=(EventItem("SKU_1", quantity=2, price_cents=1234, index=0), EventItem("SKU_2")),
    item_list_id="pdp_similar",
    search_term="blue shirt",
    transaction_id="t1",
    visible=True,
    derived=True,
)
FOLDED = Folded(viewed={"A": 5, "Ä": 6}, added={"A": 5}, removed={"B": 4}, bought={"C": 3})


def state(version: int, *events: Event) -> SessionState:
    """A state with one digest of each kind for each version, and something of all that is folded."""
    return SessionState(
        Session("s1", events, FOLDED, impressions=7, search=(1_700_000_000_000_000, "blaues Tuch")),
        version,
        frozenset(bytes([n] * 8) for n in range(version)),
        frozenset(bytes([n + 100] * 8) for n in range(version)),
        {bytes([n + 150] * 8): 1 << (n * 9) for n in range(version)},
        frozenset(bytes([n + 200] * 8) for n in range(version)),
    )


class SessionStoreSuite:
    """Behaviour of the port."""

    def test_an_unknown_session_is_empty_and_not_yet_stored(self, store: SessionStore) -> None:
        assert store.load("s1", now=NOW) == SessionState(Session("s1"), 0)

    def test_what_was_accepted_comes_back_whole(self, store: SessionStore) -> None:
        store.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)

        assert store.load("s1", now=NOW) == state(1, EVENT)

    def test_versions_follow_each_other(self, store: SessionStore) -> None:
        second = replace(EVENT, event_id="e2", event_time=NOW + timedelta(seconds=1))
        store.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)
        store.accept(state(2, EVENT, second), [Accepted(second)], now=NOW)

        assert store.load("s1", now=NOW) == state(2, EVENT, second)

    @pytest.mark.parametrize("version", [1, 3])
    def test_a_writer_that_read_another_version_changes_nothing(self, store: SessionStore, version: int) -> None:
        store.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)

        with pytest.raises(Conflict):
            store.accept(state(version), [], now=NOW)

        assert store.load("s1", now=NOW) == state(1, EVENT)

    def test_a_session_is_over_a_day_after_its_last_event_and_its_id_can_start_again(self, store: SessionStore) -> None:
        store.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)

        assert store.load("s1", now=NOW + DAY - timedelta(seconds=2)).version == 1
        assert store.load("s1", now=NOW + DAY).version == 0

        store.accept(state(1), [], now=NOW + DAY)
        assert store.load("s1", now=NOW + DAY).version == 1

    def test_each_write_lengthens_the_life_of_the_session(self, store: SessionStore) -> None:
        store.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)
        store.accept(state(2, EVENT), [], now=NOW + DAY / 2)

        assert store.load("s1", now=NOW + DAY).version == 2

    def test_nearly_as_much_as_an_item_holds_is_stored(self, store: SessionStore) -> None:
        noise = random.Random(0).randbytes(330_000).hex()  # packed: 386 kB of the 390 kB that are allowed

        store.accept(state(1, EVENT), [Accepted(replace(EVENT, attribution_token=noise))], now=NOW)

        assert store.load("s1", now=NOW) == state(1, EVENT)

    def test_more_than_the_store_takes_is_refused_before_it_is_written(self, store: SessionStore) -> None:
        noise = random.Random(0).randbytes(400_000).hex()
        store.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)

        with pytest.raises(TooLarge, match="bytes of one session in one write"):
            store.accept(state(2, EVENT), [Accepted(replace(EVENT, attribution_token=noise))], now=NOW)

        assert store.load("s1", now=NOW) == state(1, EVENT)
