"""Sessions in memory and on DynamoDB behave alike."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.sessions import DynamoSessions, pack_session
from recommender.adapters.memory.sessions import MemorySessions
from recommender.contracts.outbox import Accepted, unpack
from recommender.domain.session import MAX_EVENTS, Session
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

    assert len(pack_session(Session("s1", tuple(events)))) < 4096  # one read unit
