"""The experiment store in memory and on DynamoDB behave alike, and counting on DynamoDB is exact under crashes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from recommender.adapters.dynamodb.client import Database, create_tables, dynamodb_client
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.tables import snapshot_key
from recommender.domain.experiments.running.counts import merged
from recommender.errors import DependencyDown
from recommender.ports import ExperimentStore
from recommender.use_cases.count_outcomes import count_outcomes

from tests.suites.experiment_store import CONFIG, ExperimentStoreSuite
from tests.use_cases.test_count_outcomes import stream, truth


class TestMemory(ExperimentStoreSuite):
    @pytest.fixture
    def store(self) -> ExperimentStore:
        return MemoryExperimentStore()


def dynamo(database: Database) -> DynamoExperimentStore:
    return DynamoExperimentStore(database, experiments_table="experiments", ledger_table="ledger")


class TestDynamoDB(ExperimentStoreSuite):
    @pytest.fixture
    def store(self, aws_environment: dict[str, str]) -> ExperimentStore:
        client = dynamodb_client()
        create_tables(client)
        return dynamo(Database(client))


class LossyDatabase(Database):
    """Loses requests and answers of transactions at random."""

    rng = random.Random(11)
    chance = 0.3

    def call(self, operation: str, /, **request: Any) -> dict[str, Any]:
        is_write = operation == "transact_write_items"
        if is_write and self.rng.random() < self.chance:
            raise DependencyDown("the request was lost")
        answer = super().call(operation, **request)
        if is_write and self.rng.random() < self.chance:
            raise DependencyDown("the answer was lost")
        return answer


def test_replays_and_crashes_never_change_the_counts_on_dynamodb(aws_environment: dict[str, str]) -> None:
    client = dynamodb_client()
    create_tables(client)
    store = dynamo(LossyDatabase(client))
    rng = random.Random(5)
    sources = {f"shard-{n}": stream(n, length=30, records=20) for n in range(2)}
    reached = dict.fromkeys(sources, 0)

    while any(reached[name] < len(entries) for name, entries in sources.items()):
        name = rng.choice(list(sources))
        start = max(0, reached[name] - rng.randint(0, 6))
        end = min(len(sources[name]), start + rng.randint(1, 15))
        try:
            count_outcomes(sources[name][start:end], shard_id=name, store=store)
        except DependencyDown:
            continue
        reached[name] = max(reached[name], end)

    exact = merged(cell for entries in sources.values() for cell in truth(entries))
    assert sorted(dynamo(Database(client)).counts(CONFIG), key=lambda count: count.cell) == exact


def test_a_snapshot_that_cannot_be_understood_is_a_store_that_is_down(aws_environment: dict[str, str]) -> None:
    client = dynamodb_client()
    create_tables(client)
    key = {name: {"S": value} for name, value in snapshot_key().items()}
    client.put_item(TableName="experiments", Item={**key, "epoch": {"N": "3"}, "body": {"S": '{"epoch": 3}'}})

    with pytest.raises(DependencyDown):
        dynamo(Database(client)).load_snapshot()
