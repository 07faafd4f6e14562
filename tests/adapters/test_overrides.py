"""Overrides are read whole, kept for a few seconds, and outlive their store."""

from __future__ import annotations

from typing import Any

import pytest
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.overrides import DynamoOverrides
from recommender.errors import DependencyDown

TABLE = "test-catalog_overrides"


class Switchable:
    """A DynamoDB client in front of another one, that can be taken away; counts what gets through."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_down = False
        self.count_calls = 0

    def call(self, operation: str, /, **request: Any) -> dict[str, Any]:
        self.count_calls += 1
        if self.is_down:
            raise DependencyDown("switched off")
        return self.database.call(operation, **request)


def put(database: Database, item_id: str, **change: Any) -> None:
    database.call("put_item", TableName=TABLE, Item={"item_id": {"S": item_id}, **change})


def test_every_kind_of_change_is_read(database: Database) -> None:
    put(database, "a", availability={"S": "out_of_stock"}, price_cents={"N": "999"})
    put(database, "b", deleted={"BOOL": True})

    assert DynamoOverrides(database, TABLE).current() == {
        "a": {"availability": "out_of_stock", "price_cents": 999},
        "b": {"deleted": True},
    }


def test_a_table_of_more_than_one_page_is_read_to_its_end(database: Database) -> None:
    for n in range(30):
        put(database, f"item-{n}", availability={"S": "x" * 50_000})  # a page holds 1 MB

    assert len(DynamoOverrides(database, TABLE).current()) == 30


def test_changes_are_seen_after_the_time_to_live_and_kept_while_the_store_is_down(database: Database) -> None:
    store, moment = Switchable(database), [0.0]
    overrides = DynamoOverrides(store, TABLE, ttl_seconds=5, clock=lambda: moment[0])  # type: ignore[arg-type]
    assert overrides.current() == {}
    put(database, "a", deleted={"BOOL": True})

    moment[0] = 4.9
    assert overrides.current() == {}
    assert store.count_calls == 1

    moment[0] = 5.0
    assert overrides.current() == {"a": {"deleted": True}}

    store.is_down, moment[0] = True, 10.0
    assert overrides.current() == {"a": {"deleted": True}}
    assert overrides.current() == {"a": {"deleted": True}}
    assert store.count_calls == 3  # a dead store is not asked with every page view


def test_where_they_never_could_be_read_the_store_is_down(database: Database) -> None:
    store = Switchable(database)
    store.is_down = True

    with pytest.raises(DependencyDown):
        DynamoOverrides(store, TABLE).current()  # type: ignore[arg-type]
