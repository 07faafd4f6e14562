"""Steps of an experiment on DynamoDB: several administrators at once, requests and answers that get lost."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from recommender.adapters.dynamodb.client import Database, create_tables, dynamodb_client
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.contracts.placements import POLICIES
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.errors import Conflict, DependencyDown
from recommender.use_cases.manage_experiments import Order, change_experiment, draft_experiment

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = ExperimentConfig("exp_1", 0, ("home_hero",), ("cohorts", "hybrid"), "s")
LIFE = ("start", "pause", "resume", "pause", "resume", "decide", "promote", "rollback")
CHANGES = ("create", *LIFE)


def over(database: Database) -> DynamoExperimentStore:
    return DynamoExperimentStore(database, experiments_table="experiments", ledger_table="ledger")


def draft(store: DynamoExperimentStore, experiment_id: str) -> None:
    wanted = replace(CONFIG, experiment_id=experiment_id)
    draft_experiment(wanted, placements={"home_hero": POLICIES}, store=store, now=NOW, actor="ada")


def change(store: DynamoExperimentStore, action: str, experiment_id: str) -> None:
    variant = "hybrid" if action == "decide" else ""
    change_experiment(Order(action, experiment_id, "ada", variant=variant), store=store, now=NOW)


def test_of_administrators_who_start_at_once_on_one_placement_one_wins(aws_environment: dict[str, str]) -> None:
    create_tables(dynamodb_client())
    names = [f"exp_{n}" for n in range(4)]
    stores = [over(Database(dynamodb_client())) for _ in names]
    for store, name in zip(stores, names, strict=True):
        draft(store, name)

    def begin(store: DynamoExperimentStore, name: str) -> str:
        try:
            change(store, "start", name)
        except Conflict as refusal:
            return refusal.code
        return "started"

    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(begin, stores, names))

    assert sorted(found) == ["overlapping_experiments"] * 3 + ["started"]
    snapshot = stores[0].load_snapshot()
    assert snapshot is not None
    assert (snapshot.epoch, [config.experiment_id for config in snapshot.configs]) == (
        1,
        [names[found.index("started")]],
    )


class LossyDatabase(Database):
    """Loses requests and answers of transactions at random."""

    rng = random.Random(7)

    def call(self, operation: str, /, **request: Any) -> dict[str, Any]:
        fate = self.rng.random() if operation == "transact_write_items" else 1.0
        if fate < 0.3:
            raise DependencyDown("the request was lost")
        answer = super().call(operation, **request)
        if fate < 0.6:
            raise DependencyDown("the answer was lost")
        return answer


def test_a_life_whose_requests_and_answers_get_lost_has_every_step_once(aws_environment: dict[str, str]) -> None:
    client = dynamodb_client()
    create_tables(client)
    lossy, sure = over(LossyDatabase(client)), over(Database(client))

    for action in CHANGES:
        for _ in range(20):  # as an administrator would: again, until it is answered
            try:
                draft(lossy, "exp_1") if action == "create" else change(lossy, action, "exp_1")
                break
            except DependencyDown:
                continue

    trail = sure.audit_trail("exp_1")
    assert [entry["action"] for entry in trail] == list(CHANGES)
    assert [entry["version"] for entry in trail] == list(range(1, len(CHANGES) + 1))
    assert [entry["epoch"] for entry in trail] == list(range(len(CHANGES)))
    snapshot = sure.load_snapshot()
    assert snapshot is not None
    assert snapshot.defaults == {"home_hero": "cohorts"}
