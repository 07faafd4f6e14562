"""From the browser to the counters on the embedded DynamoDB, everything at once: each event counts exactly once.

Several writers send the events of each session, repeated, shuffled and cut anyhow; several consumers count the
stream in portions of their own, over a network that loses requests and answers; two epoch jobs run meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import boto3
from recommender.adapters.dynamodb.client import Database, create_tables, dynamodb_client
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.dynamodb.sessions import DynamoSessions
from recommender.adapters.dynamodb.stream import batches
from recommender.contracts.events import Event, EventItem, StreamBatch
from recommender.contracts.requests import EventBatch
from recommender.domain.experiments.running.assignment import is_held_out
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount, merged, shard_of
from recommender.domain.experiments.running.shop_counts import ShopCount, bucket_of
from recommender.domain.serving.attribution import Claims, issue
from recommender.errors import Conflict, DependencyDown
from recommender.use_cases.collect_events import collect_events
from recommender.use_cases.count_outcomes import count_outcomes
from recommender.use_cases.reallocate_traffic import Lease, Reallocation, reallocate_traffic
from recommender.use_cases.report_experiment import start_experiment

from local.aws.streams import lambda_event

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT = NOW + timedelta(days=1)
CONFIG = default_config(NOW)
SECRET = b"a secret of the tests"
SESSIONS, LISTS, COPIES = 5, 6, 3


def visitor(n: int) -> str:
    return f"v_{n}"


def claims(n: int, k: int) -> Claims:
    """The k-th list that session n was shown."""
    return Claims(
        recommendation_id=f"r_{n}_{k}",
        placement=CONFIG.placements[k % 3],
        experiment=CONFIG.experiment_id,
        config_version=1,
        epoch=1 + k % 2,
        variant=CONFIG.variants[(n + k) % 3],
        propensity=0.3,
        item_ids=("A", "B"),
        issued_at=int(NOW.timestamp()),
        session_id=f"s_{n}",
        segment=("prior", "user")[k % 2],
        served_ms=10 + k,
        degraded=k == 0,
    )


def events(n: int) -> list[Event]:
    """What session n does: sees every list, clicks every second one, orders once; the order is confirmed twice.

    Two sessions each report the same order, as when a confirmation page is opened again a day later.
    """
    base = Event("", "", NOW, visitor(n), f"s_{n}", items=(EventItem("A", price_cents=250),))
    found = []
    for k in range(LISTS):
        token = issue(claims(n, k), SECRET)
        found.append(
            replace(base, event_id=f"seen_{k}", event_name="view_item_list", visible=True, attribution_token=token)
        )
        if k % 2:
            found.append(replace(base, event_id=f"click_{k}", event_name="select_item", attribution_token=token))
    for copy in range(2):
        found.append(replace(base, event_id=f"order_{copy}", event_name="purchase", transaction_id=f"o_{n // 2}"))
    return found


def expected_cells() -> list[CellCount]:
    """One exposure of every list, one click of every second one, whatever was sent how often."""
    lists = [(n, k, claims(n, k)) for n in range(SESSIONS) for k in range(LISTS)]
    return merged(
        CellCount(
            shown.experiment,
            shown.placement,
            shown.epoch,
            shown.segment,
            shown.variant,
            exposures=1,
            clicks=k % 2,
            shard=shard_of(visitor(n)),
            served_ms=shown.served_ms,
            degraded=int(shown.degraded),
        )
        for n, k, shown in lists
    )


def expected_sessions() -> list[ShopCount]:
    """One session of every visitor."""
    return merged(
        ShopCount(
            "2026-11-23",
            "holdout" if is_held_out(CONFIG, visitor(n)) else "treated",
            bucket_of(visitor(n)),
            sessions=1,
        )
        for n in range(SESSIONS)
    )


def send(sessions: DynamoSessions, n: int, seed: int) -> None:
    """All events of a session, several copies of each, shuffled, in portions; what is refused as busy comes again."""
    rng = random.Random(seed)
    waiting = events(n) * COPIES
    rng.shuffle(waiting)
    while waiting:
        size = rng.randint(1, 6)
        portion, waiting = waiting[:size], waiting[size:]
        answer = collect_events(EventBatch(tuple(enumerate(portion))), now=NOW, sessions=sessions, secret=SECRET)
        waiting += [portion[wrong.index] for wrong in answer.rejected if wrong.code == "session_busy"]


class LossyDatabase(Database):
    """Loses requests and answers of transactions at random."""

    def __init__(self, client: Any, rng: random.Random) -> None:
        super().__init__(client, rest_seconds=0.0)
        self._rng = rng

    def call(self, operation: str, /, **request: Any) -> dict[str, Any]:
        is_lost = operation == "transact_write_items" and self._rng.random() < 0.4
        if is_lost and self._rng.random() < 0.5:
            raise DependencyDown("the request was lost")
        answer = super().call(operation, **request)
        if is_lost:
            raise DependencyDown("the answer was lost")
        return answer


def store_over(database: Database) -> DynamoExperimentStore:
    return DynamoExperimentStore(database, experiments_table="experiments", ledger_table="ledger")


def consume(batch: StreamBatch, client: Any, seed: int) -> None:
    """One consumer of a shard: portions of any size, begun again before its end, each until it is taken."""
    rng = random.Random(seed)
    store = store_over(LossyDatabase(client, rng))
    reached = 0
    while reached < len(batch.entries):
        start = max(0, reached - rng.randint(0, 5))
        end = min(len(batch.entries), start + rng.randint(1, 12))
        try:
            count_outcomes(
                batch.entries[start:end], shard_id=batch.shard_id, store=store, holdout_share=CONFIG.holdout_share
            )
        except (DependencyDown, Conflict):
            continue
        reached = max(reached, end)


def stream(client: Any) -> list[StreamBatch]:
    """The whole stream of the sessions table, one batch a shard, as Lambda delivers it."""
    streams = boto3.client("dynamodbstreams")
    arn = client.describe_table(TableName="sessions")["Table"]["LatestStreamArn"]
    found = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        name, records = shard["ShardId"], []
        iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=name, ShardIteratorType="TRIM_HORIZON")
        where: str | None = iterator["ShardIterator"]
        while where:
            page = streams.get_records(ShardIterator=where, Limit=1000)
            records += page["Records"]
            where = page.get("NextShardIterator") if page["Records"] else None
        found += batches(lambda_event(records, shard=name, arn=arn, now=NOW))
    return found


def together(tasks: Sequence[partial[Any]]) -> list[Any]:
    """Run the tasks at the same time; an error of any of them is raised."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


def test_whatever_happens_at_once_counters_are_those_of_the_events_that_were_accepted(
    aws_environment: dict[str, str],
) -> None:
    client = dynamodb_client()
    create_tables(client)
    database = Database(client, rest_seconds=0.0)
    store, sessions = store_over(database), DynamoSessions(database, "sessions")
    start_experiment(CONFIG, store=store, now=NOW)

    together([partial(send, sessions, n, 100 * n + writer) for n in range(SESSIONS) for writer in range(2)])
    consumers = [partial(consume, batch, client, seed) for batch in stream(client) for seed in range(3)]
    epoch = partial(reallocate_traffic, at=AT, store=store)
    done = together([*consumers, *(partial(epoch, lease=Lease(f"run-{n}", AT)) for n in range(2))])
    late = reallocate_traffic(at=AT, store=store)

    assert sorted(store.counts(CONFIG), key=lambda count: count.cell) == expected_cells()
    trade = store.shop_counts(first_day="2026-11-23")
    traded = ("orders", "units", "revenue_cents")
    assert [replace(count, orders=0, units=0, revenue_cents=0) for count in trade] == expected_sessions()
    # One A for 2.50 of each order, whichever of its two sessions was counted first.
    assert [sum(getattr(count, name) for count in trade) for name in traded] == [3, 3, 3 * 250]
    opened = [result for result in done if isinstance(result, Reallocation)]
    assert sum(result.is_new for result in opened) == 1
    assert late.snapshot is not None
    assert (late.is_new, late.snapshot.epoch) == (False, 2)
    assert len(store.posteriors(CONFIG.experiment_id)) == 1
    assert [entry["action"] for entry in store.audit_trail(CONFIG.experiment_id)].count("reallocate") == 1
