"""The one read of the serving path finds the session and the first shopper known, in memory and on DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.sessions import DynamoSessions
from recommender.adapters.dynamodb.state import DynamoShoppers, DynamoState
from recommender.adapters.memory.sources import MemorySessions, MemoryShoppers, MemoryState
from recommender.contracts.events import Accepted
from recommender.contracts.tables import SHOPPER_TTL_SECONDS
from recommender.domain.serving.visit import Session, Shopper
from recommender.ports import SessionStore, ShopperStore, StateReader

from tests.suites.session_store import EVENT, NOW, state

Stores = tuple[StateReader, SessionStore, ShopperStore]


def in_memory(_: pytest.FixtureRequest) -> Stores:
    sessions, shoppers = MemorySessions(), MemoryShoppers(clock=NOW.timestamp)
    return MemoryState(sessions, shoppers), sessions, shoppers


def on_dynamodb(request: pytest.FixtureRequest) -> Stores:
    database: Database = request.getfixturevalue("database")
    reader = DynamoState(database, sessions_table="test-sessions", shoppers_table="test-shoppers")
    shoppers = DynamoShoppers(database, "test-shoppers", clock=NOW.timestamp)
    return reader, DynamoSessions(database, "test-sessions"), shoppers


@pytest.fixture(params=[in_memory, on_dynamodb])
def stores(request: pytest.FixtureRequest) -> Stores:
    make: Callable[[pytest.FixtureRequest], Stores] = request.param
    return make(request)


def test_where_nothing_is_known_the_session_is_empty_and_the_shopper_none(stores: Stores) -> None:
    reader, _, _ = stores

    assert reader.read(session_id="s1", shopper_ids=["u1", "v1"], now=NOW) == (Session("s1"), None)
    assert reader.read(session_id="s1", shopper_ids=[], now=NOW) == (Session("s1"), None)
    assert reader.read(session_id="s1", shopper_ids=["v1", "v1"], now=NOW) == (Session("s1"), None)


def test_the_user_comes_before_the_visitor(stores: Stores) -> None:
    reader, sessions, shoppers = stores
    sessions.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)
    shoppers.save([Shopper("v1", cohort=1), Shopper("u1", cohort=2)])

    assert reader.read(session_id="s1", shopper_ids=["u1", "v1"], now=NOW) == (
        state(1, EVENT).session,
        Shopper("u1", cohort=2),
    )
    assert reader.read(session_id="s1", shopper_ids=["u9", "v1"], now=NOW)[1] == Shopper("v1", cohort=1)


def test_a_session_that_is_over_is_read_as_empty(stores: Stores) -> None:
    reader, sessions, _ = stores
    sessions.accept(state(1, EVENT), [Accepted(EVENT)], now=NOW)

    assert reader.read(session_id="s1", shopper_ids=[], now=NOW + timedelta(days=1))[0] == Session("s1")


def test_a_shopper_whose_time_is_over_is_not_known_though_the_table_has_it(database: Database) -> None:
    long_ago = (NOW - timedelta(seconds=SHOPPER_TTL_SECONDS)).timestamp()
    reader = DynamoState(database, sessions_table="test-sessions", shoppers_table="test-shoppers")
    DynamoShoppers(database, "test-shoppers", clock=lambda: long_ago).save([Shopper("u1")])
    DynamoShoppers(database, "test-shoppers", clock=NOW.timestamp).save([Shopper("v1")])

    assert reader.read(session_id="s1", shopper_ids=["u1", "v1"], now=NOW)[1] == Shopper("v1")
