"""Overrides are read whole, kept for a few seconds, and outlive their store."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.overrides import DynamoOverrides
from recommender.domain.serving.eligibility import current_stock
from recommender.errors import DependencyDown

from tests.tiny_bundle import tiny_bundle

BUNDLE = tiny_bundle()
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
        put(database, f"item-{n}", deleted={"BOOL": True}, note={"S": "x" * 50_000})  # a page holds 1 MB

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


GOOD = {"item_id": {"S": "good"}, "price_cents": {"N": "999"}}
BAD = [
    {"price_cents": {"N": "1.5"}},
    {"price_cents": {"N": "-1"}},
    {"price_cents": {"N": "1E+12"}},
    {"price_cents": {"N": "1E+30"}},
    {"price_cents": {"N": "NaN"}},
    {"price_cents": {"S": "999"}},
    {"price_cents": {"NULL": True}},
    {"price_cents": "999"},
    {"availability": {"BOOL": True}},
    {"availability": {"S": "In stock"}},
    {"availability": {"S": ""}},
    {"availability": {}},
    {"deleted": {"S": "true"}},
    {"deleted": {"BOOL": "true"}},
    {"deleted": []},
    {"item_id": {"N": "1"}},
    {"item_id": {"S": "\ud800"}},
    {"item_id": None},
]


class OneScan:
    """A table that holds these items."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def call(self, operation: str, /, **_: Any) -> dict[str, Any]:
        assert operation == "scan"
        return {"Items": list(self.items)}


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_one_malformed_row_is_skipped_and_counted_and_harms_no_other(bad: dict[str, Any]) -> None:
    skipped: list[int] = []
    table: Any = OneScan({"item_id": {"S": "bad"}, **bad}, GOOD)

    overrides = DynamoOverrides(table, TABLE, on_skipped=skipped.append)

    assert overrides.current() == {"good": {"price_cents": 999}}
    assert skipped == [1]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: ANY | st.dictionaries(st.sampled_from(["S", "N", "BOOL", "B"]), ANY, max_size=2)
        for name in ("item_id", "availability", "price_cents", "deleted")
    },
)


@given(st.lists(ANY | FIELDS, max_size=5))
def test_whatever_the_rows_are_the_others_are_read_and_change_a_bundle(rows: list[Any]) -> None:
    table: Any = OneScan(*rows, GOOD)

    overrides = DynamoOverrides(table, TABLE).current()

    assert overrides["good"] == {"price_cents": 999}
    current_stock(BUNDLE, {BUNDLE.id_of(n): change for n, change in enumerate(overrides.values())})
