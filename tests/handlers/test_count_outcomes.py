"""The edge of count_outcomes: a stream batch as Lambda delivers it, and the whole way over the embedded DynamoDB."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from recommender.adapters.dynamodb.client import connect, create_tables, dynamodb_client
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.adapters.memory.sources import MemorySnapshots
from recommender.contracts.event_kinds import CLICK, EXPOSURE, ORDER, SESSION
from recommender.contracts.events import ATTRIBUTE, Accepted, Event, EventItem, pack
from recommender.domain.experiments.running.config import default_config, first_snapshot
from recommender.domain.experiments.running.counts import CellCount, shard_of
from recommender.domain.experiments.running.shop_counts import ShopCount, bucket_of
from recommender.domain.serving.attribution import Claims, to_record
from recommender.errors import DependencyDown

from tests.fakes.sources import MemoryMargins
from tests.handlers.deployed import ENVIRONMENT, SETTINGS, deployed

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)
CLAIMS = Claims("r_1", "home_hero", CONFIG.experiment_id, 1, 7, "hybrid", 0.4, ("SKU_1",), 1_795_000_000, "s_1")


def change(sequence: int, *rewards: str) -> dict[str, Any]:
    """One stream record that carries one accepted event with these rewards."""
    items = (EventItem("SKU_1", quantity=2, price_cents=400),)
    event = Event(f"e_{sequence}", "view_item_list", NOW, "v_1", "s_1", items=items, visible=True)
    content = pack([Accepted(event, to_record(CLAIMS), rewards)])
    return {
        "eventName": "MODIFY",
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:000000000000:table/sessions/stream/1",
        "dynamodb": {
            "SequenceNumber": f"{sequence:021d}",
            "ApproximateCreationDateTime": NOW.timestamp(),
            "NewImage": {"session_id": {"S": "s_1"}, ATTRIBUTE: {"B": base64.b64encode(content).decode()}},
        },
    }


def removal(sequence: int) -> dict[str, Any]:
    """One stream record of a session that has expired."""
    record = change(sequence)
    del record["dynamodb"]["NewImage"]
    return {**record, "eventName": "REMOVE"}


def delivery(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records), "shardId": "shardId-1", "state": {}, "isFinalInvokeForWindow": False}


def counted(exposures: int, clicks: int) -> list[CellCount]:
    return [CellCount(CONFIG.experiment_id, "home_hero", 7, "all", "hybrid", exposures, clicks, shard_of("v_1"))]


def test_a_batch_is_counted_once_however_often_and_in_what_portions_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryExperimentStore()
    handler = deployed("count_outcomes", monkeypatch).create_handler(store)
    first, second, third = change(9, EXPOSURE), change(10, CLICK), change(11, EXPOSURE, CLICK)

    answers = [
        handler(delivery(first, second), None),
        handler(delivery(first, second), None),
        handler(delivery(second, removal(10), third), None),
        handler(delivery(), None),  # the last invocation of a tumbling window may be empty
    ]

    assert answers == [{"state": {}}] * 4
    assert store.counts(CONFIG) == counted(2, 2)


def test_trade_is_booked_by_the_hold_out_of_the_experiments_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    store, margins = MemoryExperimentStore(), MemoryMargins({"SKU_1": 0.25})
    snapshots = MemorySnapshots(first_snapshot(CONFIG, NOW))
    handler = deployed("count_outcomes", monkeypatch).create_handler(store, snapshots=snapshots, margins=margins)

    handler(delivery(change(9, EXPOSURE, ORDER, SESSION)), None)
    snapshots.snapshot = None  # the store of snapshots is down: exposures are counted all the same
    handler(delivery(change(10, EXPOSURE, ORDER, SESSION)), None)

    assert store.counts(CONFIG) == counted(2, 0)
    assert store.shop_counts(first_day="2026-11-23") == [
        ShopCount("2026-11-23", "treated", bucket_of("v_1"), 1, 1, 2, 2 * 400, 2 * 100, 2 * 400)
    ]


def test_a_failure_is_raised_so_that_the_batch_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down(MemoryExperimentStore):
        def add_counts(self, *arguments: Any, **where: Any) -> None:
            raise DependencyDown("DynamoDB cannot answer")

    handler = deployed("count_outcomes", monkeypatch).create_handler(Down())

    with pytest.raises(DependencyDown):
        handler(delivery(change(9, EXPOSURE)), None)


def test_the_deployed_function_counts_on_dynamodb(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_tables(dynamodb_client())
    store = DynamoExperimentStore.of(connect(), SETTINGS)
    store.swap_snapshot(first_snapshot(CONFIG, NOW))
    handler = deployed("count_outcomes", monkeypatch).compose({**os.environ, **ENVIRONMENT})

    for _ in range(2):
        handler(delivery(change(9, EXPOSURE, ORDER), change(10, CLICK)), None)

    assert store.counts(CONFIG) == counted(1, 1)
    (trade,) = store.shop_counts(first_day="2026-11-23")
    assert (trade.orders, trade.revenue_cents, trade.costed_cents) == (1, 2 * 400, 0)  # no bundle was ever published
