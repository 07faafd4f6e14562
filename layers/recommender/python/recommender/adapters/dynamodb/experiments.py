"""Experiments in DynamoDB: configurations, snapshots, sharded counters, posteriors and audit; positions in the ledger.

Whatever must happen together is one transaction: the cells of a batch with the stream position, the
current snapshot with its history, a configuration version with the pointer to it.

Decisions: docs/decisions/experiments-operation.md (125).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import product
from typing import Any

from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.counters import (
    Item,
    addition,
    lease,
    lease_end,
    movement,
    order_note,
    read_cell,
    read_position,
    read_shop,
    strings,
)
from recommender.contracts import tables
from recommender.contracts.settings import ServingSettings
from recommender.domain.experiments.running.config import (
    ExperimentConfig,
    Snapshot,
    config_from_json,
    config_to_json,
    snapshot_from_json,
    snapshot_to_json,
)
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.shop_counts import ShopCount
from recommender.errors import Conflict, DependencyDown, InvalidInput
from recommender.ports import StreamPosition


class DynamoExperimentStore:
    """An ExperimentStore over the tables `experiments` and `ledger`."""

    def __init__(
        self, database: Database, *, experiments_table: str, ledger_table: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._experiments_table = experiments_table
        self._ledger_table = ledger_table
        self._clock = clock

    @classmethod
    def of(cls, database: Database, settings: ServingSettings) -> DynamoExperimentStore:
        """The store over the tables that the settings name."""
        return cls(database, experiments_table=settings.experiments_table, ledger_table=settings.ledger_table)

    def load_config(self, experiment_id: str) -> ExperimentConfig | None:
        """The current version."""
        item = self._get(tables.config_key(experiment_id))
        return config_from_json(item["body"]["S"]) if item else None

    def experiments(self) -> list[ExperimentConfig]:
        """The current version of every experiment, in order of their ids."""
        return [config_from_json(item["body"]["S"]) for item in self._query(tables.CONFIGS_PK)]

    def save_config(self, config: ExperimentConfig) -> None:
        """Store a new version and point to it. Raises Conflict where that version exists."""
        self._database.call("transact_write_items", TransactItems=self._new_version(config))

    def _new_version(self, config: ExperimentConfig) -> list[dict[str, Any]]:
        body = {"body": {"S": config_to_json(config)}, "version": {"N": str(config.version)}}
        version = self._put(tables.config_key(config.experiment_id, config.version), body, if_absent=True)
        pointer = self._put(tables.config_key(config.experiment_id), body)
        pointer["Put"].update(
            ConditionExpression="attribute_not_exists(pk) OR version < :version",
            ExpressionAttributeValues={":version": body["version"]},
        )
        return [version, pointer]

    def load_snapshot(self) -> Snapshot | None:
        """The snapshot in force. Raises DependencyDown where it cannot be read or understood."""
        item = self._get(tables.snapshot_key())
        return _snapshot(item) if item else None

    def swap_snapshot(self, snapshot: Snapshot) -> None:
        """Put `snapshot` in force if the current epoch is `snapshot.epoch - 1` (or none). Raises Conflict."""
        self._database.call("transact_write_items", TransactItems=self._swap(snapshot))

    def transition(
        self,
        *,
        config: ExperimentConfig | None,
        snapshot: Snapshot | None,
        experiment_id: str,
        moment: str,
        entry: Mapping[str, Any],
    ) -> None:
        """Store a version, put a snapshot in force and add the audit entry: all of it or, raising Conflict, nothing."""
        writes = [
            *(self._new_version(config) if config else ()),
            *(self._swap(snapshot) if snapshot else ()),
            self._audit(experiment_id, moment, entry),
        ]
        self._database.call("transact_write_items", TransactItems=writes)

    def _swap(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        body = {"body": {"S": snapshot_to_json(snapshot)}, "epoch": {"N": str(snapshot.epoch)}}
        current = self._put(tables.snapshot_key(), body)
        current["Put"].update(
            ConditionExpression="attribute_not_exists(pk) OR epoch = :before",
            ExpressionAttributeValues={":before": {"N": str(snapshot.epoch - 1)}},
        )
        history = self._put(tables.snapshot_key(snapshot.epoch), body)
        return [current, history]

    def snapshots(self, *, first_epoch: int) -> list[Snapshot]:
        """Every snapshot since `first_epoch`, in order of epoch."""
        first, last = tables.snapshot_key(first_epoch)["sk"], tables.snapshot_key(10**8 - 1)["sk"]
        return [_snapshot(item) for item in self._query(tables.SNAPSHOT_PK, between=(first, last))]

    def add_counts(
        self,
        cells: Sequence[CellCount | ShopCount],
        *,
        consumer: str,
        shard_id: str,
        after: StreamPosition,
        upto: StreamPosition,
        orders: Sequence[str] = (),
    ) -> None:
        """Add the cells, note the orders and move the stream position from `after` to `upto` in one transaction."""
        key, now = tables.stream_position_key(consumer, shard_id), int(self._clock())
        expires_at = now + tables.LEDGER_TTL_SECONDS
        move = movement(self._ledger_table, key, after=after, upto=upto, expires_at=expires_at)
        notes = [order_note(self._ledger_table, order, now=now) for order in orders]
        additions = [addition(self._experiments_table, cell) for cell in cells]
        self._database.call("transact_write_items", TransactItems=[move, *notes, *additions])

    def counted_orders(self, orders: Sequence[str]) -> frozenset[str]:
        """Those that are noted as counted; what has expired is not."""
        if not orders:
            return frozenset()
        keys = [{tables.LEDGER.partition_key: {"S": order}} for order in dict.fromkeys(orders)]
        wanted = {self._ledger_table: {"Keys": keys, "ConsistentRead": True}}
        answer = self._database.call("batch_get_item", RequestItems=wanted)
        if answer.get("UnprocessedKeys"):
            raise DependencyDown("DynamoDB throttled the read of counted orders")
        found = answer["Responses"].get(self._ledger_table, ())
        now = int(self._clock())
        alive = (item for item in found if int(item[tables.EXPIRES_AT]["N"]) > now)
        return frozenset(item[tables.LEDGER.partition_key]["S"] for item in alive)

    def stream_position(self, *, consumer: str, shard_id: str) -> StreamPosition:
        """Return the shard's position; the empty one where it is not begun."""
        key = strings(tables.stream_position_key(consumer, shard_id))
        found = self._database.call("get_item", TableName=self._ledger_table, Key=key, ConsistentRead=True)
        return read_position(found["Item"]) if "Item" in found else StreamPosition()

    def counts(self, config: ExperimentConfig) -> list[CellCount]:
        """All cells of an experiment, each shard of a cell apart."""
        name = config.experiment_id
        return [
            read_cell(name, placement, shard, item)
            for placement, shard in product(config.placements, range(tables.COUNTER_SHARDS))
            for item in self._query(tables.counter_partition(name, placement, shard))
        ]

    def shop_counts(self, *, first_day: str) -> list[ShopCount]:
        """Sessions, orders and their worth since this day, in order of day, group and bucket."""
        partitions = map(tables.shop_partition, range(tables.COUNTER_SHARDS))
        items = (item for name in partitions for item in self._query(name, between=(first_day, "9999-12-31")))
        return sorted(map(read_shop, items), key=lambda count: count.cell)

    def save_posterior(self, experiment_id: str, epoch: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store what ended an epoch unless another run did so first; returns the one that is stored."""
        key = tables.posterior_key(experiment_id, epoch)
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        try:
            self._database.call("put_item", **self._put(key, {"body": {"S": text}}, if_absent=True)["Put"])
        except Conflict:
            return _body(self._get(key) or {})
        return _body({"body": {"S": text}})

    def posterior(self, experiment_id: str, epoch: int) -> Mapping[str, Any] | None:
        """Return the record that ended this epoch, or None where it is open."""
        item = self._get(tables.posterior_key(experiment_id, epoch))
        return _body(item) if item else None

    def posteriors(self, experiment_id: str) -> list[Mapping[str, Any]]:
        """All posteriors in order of epoch."""
        return [_body(item) for item in self._query(tables.posterior_key(experiment_id, 0)["pk"])]

    def take_lease(self, name: str, holder: str, *, now: datetime, seconds: int) -> bool:
        """True where nobody else holds the lease at `now`; it is then held by `holder` for so long."""
        moment = int(now.timestamp())
        write = lease(self._ledger_table, name, holder, now=moment, until=moment + seconds)
        try:
            self._database.call("put_item", **write)
        except Conflict:
            return False
        return True

    def end_lease(self, name: str, holder: str) -> None:
        """Give the lease back; nothing happens where another one holds it by now."""
        with suppress(Conflict):
            self._database.call("update_item", **lease_end(self._ledger_table, name, holder))

    def append_audit(self, experiment_id: str, moment: str, entry: Mapping[str, Any]) -> None:
        """Add to the audit trail; the same moment again replaces the entry."""
        self._database.call("put_item", **self._audit(experiment_id, moment, entry)["Put"])

    def audit_trail(self, experiment_id: str) -> list[Mapping[str, Any]]:
        """All entries in order of their moments, each with its moment as `at`."""
        items = self._query(tables.audit_key(experiment_id, "")["pk"])
        return [{"at": item["sk"]["S"].partition("|")[0], **_body(item)} for item in items]

    def _audit(self, experiment_id: str, moment: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        body = {"body": {"S": json.dumps(entry, sort_keys=True)}}
        return self._put(tables.audit_key(experiment_id, moment), body)

    def _get(self, key: Mapping[str, str]) -> Item | None:
        request = {"TableName": self._experiments_table, "Key": strings(key), "ConsistentRead": True}
        return self._database.call("get_item", **request).get("Item")

    def _put(self, key: Mapping[str, str], body: Item, *, if_absent: bool = False) -> dict[str, dict[str, Any]]:
        put: dict[str, Any] = {"TableName": self._experiments_table, "Item": {**strings(key), **body}}
        if if_absent:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        return {"Put": put}

    def _query(self, partition: str, *, between: tuple[str, str] | None = None) -> Iterator[Item]:
        """The items of a partition in order of their sort key, page by page."""
        request: dict[str, Any] = {
            "TableName": self._experiments_table,
            "KeyConditionExpression": "pk = :pk" + (" AND sk BETWEEN :low AND :high" if between else ""),
            "ExpressionAttributeValues": {
                ":pk": {"S": partition},
                **({":low": {"S": between[0]}, ":high": {"S": between[1]}} if between else {}),
            },
            "ConsistentRead": True,
        }
        while True:
            page = self._database.call("query", **request)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _body(item: Item) -> Mapping[str, Any]:
    body: Mapping[str, Any] = json.loads(item["body"]["S"])
    return body


def _snapshot(item: Item) -> Snapshot:
    try:
        return snapshot_from_json(item["body"]["S"])
    except (KeyError, TypeError, ValueError, InvalidInput) as error:
        raise DependencyDown(f"the snapshot of epoch {item.get('epoch')} cannot be understood: {error}") from error
