"""Sessions in memory and on DynamoDB behave alike."""

from __future__ import annotations

import json
import threading
import zlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.sessions import DynamoSessions
from recommender.adapters.memory.sources import MemorySessions
from recommender.adapters.session_item import pack_events
from recommender.contracts.events import Accepted, pack, unpack
from recommender.contracts.tables import EXPIRES_AT
from recommender.domain.serving.credit import digest
from recommender.domain.serving.visit import MAX_EVENTS, Session
from recommender.errors import Conflict
from recommender.ports import SessionStore

from tests.suites.session_store import EVENT, NOW, SessionStoreSuite, state

TABLE = "test-sessions"


class TestMemory(SessionStoreSuite):
    @pytest.fixture
    def store(self) -> SessionStore:
        return MemorySessions()


class TestDynamo(SessionStoreSuite):
    @pytest.fixture
    def store(self, database: Database) -> SessionStore:
        return DynamoSessions(database, TABLE)


def test_of_many_writers_at_once_exactly_one_wins(database: Database) -> None:
    outcomes: list[str] = []

    def write() -> None:
        try:
            DynamoSessions(database, TABLE).accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)
            outcomes.append("stored")
        except Conflict:
            outcomes.append("lost")

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert sorted(outcomes) == ["lost"] * 7 + ["stored"]


def test_the_outbox_of_the_last_write_lies_on_the_item(database: Database) -> None:
    DynamoSessions(database, TABLE).accept(state(1, EVENT), [Accepted(EVENT, {"epoch": 3}, ("click",))], now=NOW)

    item = database.call("get_item", TableName=TABLE, Key={"session_id": {"S": "s1"}})["Item"]
    (record,) = unpack(item["accepted"]["B"])

    assert (record["event_id"], record["claims"], record["rewards"]) == ("e1", {"epoch": 3}, ["click"])


def test_a_full_session_is_small() -> None:
    events = [
        replace(EVENT, event_id=f"event-{n:08d}", event_time=NOW + timedelta(seconds=n)) for n in range(MAX_EVENTS)
    ]

    assert len(pack_events(Session("s1", tuple(events)))) < 4096  # one read unit


def item_of_the_version_before(*rows: list[Any]) -> dict[str, Any]:
    """An item as it was written until impressions were taken out of the window."""
    return {
        "session_id": {"S": "s1"},
        "version": {"N": "3"},
        "packed": {"B": zlib.compress(json.dumps(rows).encode(), 1)},
        "seen": {"B": digest("e1") + digest("e2")},
        "credited": {"B": digest("r1", "home_hero", "click")},
        "accepted": {"B": pack([])},
        EXPIRES_AT: {"N": str(int((NOW + timedelta(hours=1)).timestamp()))},
    }


def test_a_session_that_the_version_before_wrote_is_read_and_written_on(database: Database) -> None:
    seconds = int(NOW.timestamp()) * 1_000_000
    rows = [
        ["e1", "add_to_cart", seconds, "v1", None, [["A", 1, None, None]], None, None, None, False, False],
        ["e2", "view_item_list", seconds + 1, "v1", None, [["B", 1, None, 0]], "home_hero", None, None, True, False],
    ]
    database.call("put_item", TableName=TABLE, Item=item_of_the_version_before(*rows))
    store = DynamoSessions(database, TABLE)

    state_read = store.load("s1", now=NOW)

    assert (state_read.version, state_read.seen) == (3, frozenset({digest("e1"), digest("e2")}))
    assert (state_read.session.cart, state_read.session.impressions) == (("A",), 1)
    assert [event.event_id for event in state_read.session.events] == ["e1"]
    store.accept(replace(state_read, version=4), [], now=NOW)
    assert store.load("s1", now=NOW) == replace(state_read, version=4)
