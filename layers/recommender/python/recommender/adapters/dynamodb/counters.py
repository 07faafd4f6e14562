"""Counter cells, stream positions and leases as DynamoDB items and conditional writes.

Sums are only ever added to, and zeros are not written: an attribute that is missing is 0. A position is part
of the transaction that adds what it stands for, under the condition that nobody has moved it.

Decisions: docs/decisions/experiments-operation.md (061).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, Final

from recommender.contracts import tables
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.shop_counts import SUMS, ShopCount
from recommender.ports import StreamPosition

Item = Mapping[str, Any]
CELL_SUMS: Final = ("exposures", "clicks", "served_ms", "degraded")
_KINDS: Final = {"cell": CellCount, "shop": ShopCount}


def strings(key: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """A key as DynamoDB writes it."""
    return {name: {"S": value} for name, value in key.items()}


def addition(table: str, count: CellCount | ShopCount) -> dict[str, Any]:
    """The part of a transaction that adds a count to its cell."""
    key, names = (_shop_key(count), SUMS) if isinstance(count, ShopCount) else (_cell_key(count), CELL_SUMS)
    sums = {name: getattr(count, name) for name in names if getattr(count, name)} or {names[0]: 0}
    return {
        "Update": {
            "TableName": table,
            "Key": strings(key),
            "UpdateExpression": "ADD " + ", ".join(f"{name} :{name}" for name in sums),
            "ExpressionAttributeValues": {f":{name}": {"N": str(value)} for name, value in sums.items()},
        }
    }


def read_cell(experiment_id: str, placement: str, shard: int, item: Item) -> CellCount:
    """The count of an item in the partition of a placement's shard."""
    epoch, segment, variant = tables.read_counter_sort_key(item["sk"]["S"])
    exposures, clicks, served_ms, degraded = (_number(item, name) for name in CELL_SUMS)
    return CellCount(experiment_id, placement, epoch, segment, variant, exposures, clicks, shard, served_ms, degraded)


def read_shop(item: Item) -> ShopCount:
    """The trade of an item."""
    day, group, bucket = tables.read_shop_sort_key(item["sk"]["S"])
    return ShopCount(day, group, bucket, *(_number(item, name) for name in SUMS))


def read_position(item: Item) -> StreamPosition:
    """The position that `movement` wrote."""
    pending = json.loads(item["pending"]["S"])
    return StreamPosition(item["sequence"]["S"], tuple(_KINDS[kind](*values) for kind, *values in pending))


def movement(
    table: str, key: Mapping[str, str], *, after: StreamPosition, upto: StreamPosition, expires_at: int
) -> dict[str, Any]:
    """The part of a transaction that moves a position, if it is where it is thought to be."""
    put: dict[str, Any] = {
        "TableName": table,
        "Item": {**strings(key), **_position(upto), tables.EXPIRES_AT: {"N": str(expires_at)}},
    }
    if after == StreamPosition():
        put["ConditionExpression"] = "attribute_not_exists(#key)"
        put["ExpressionAttributeNames"] = {"#key": tables.LEDGER.partition_key}
    else:
        put["ConditionExpression"] = "#sequence = :sequence AND #pending = :pending"
        put["ExpressionAttributeNames"] = {"#sequence": "sequence", "#pending": "pending"}
        put["ExpressionAttributeValues"] = {f":{name}": value for name, value in _position(after).items()}
    return {"Put": put}


def order_note(table: str, order: str, *, now: int) -> dict[str, Any]:
    """The part of a transaction that notes an order as counted, if it is not; what has expired is not."""
    return {
        "Put": {
            "TableName": table,
            "Item": {
                tables.LEDGER.partition_key: {"S": order},
                tables.EXPIRES_AT: {"N": str(now + tables.ORDER_TTL_SECONDS)},
            },
            "ConditionExpression": "attribute_not_exists(#key) OR #until <= :now",
            "ExpressionAttributeNames": {"#key": tables.LEDGER.partition_key, "#until": tables.EXPIRES_AT},
            "ExpressionAttributeValues": {":now": {"N": str(now)}},
        }
    }


def lease(table: str, name: str, holder: str, *, now: int, until: int) -> dict[str, Any]:
    """The write that takes a lease: it is free, over, or this holder's own."""
    return {
        "TableName": table,
        "Item": {**strings(tables.lease_key(name)), "holder": {"S": holder}, tables.EXPIRES_AT: {"N": str(until)}},
        "ConditionExpression": "attribute_not_exists(#key) OR #until <= :now OR #holder = :holder",
        "ExpressionAttributeNames": {
            "#key": tables.LEDGER.partition_key,
            "#until": tables.EXPIRES_AT,
            "#holder": "holder",
        },
        "ExpressionAttributeValues": {":now": {"N": str(now)}, ":holder": {"S": holder}},
    }


def lease_end(table: str, name: str, holder: str) -> dict[str, Any]:
    """The write that lets a holder's lease be over."""
    return {
        "TableName": table,
        "Key": strings(tables.lease_key(name)),
        "UpdateExpression": "SET #until = :over",
        "ConditionExpression": "#holder = :holder",
        "ExpressionAttributeNames": {"#until": tables.EXPIRES_AT, "#holder": "holder"},
        "ExpressionAttributeValues": {":over": {"N": "0"}, ":holder": {"S": holder}},
    }


def _cell_key(cell: CellCount) -> dict[str, str]:
    return tables.counter_key(
        cell.experiment_id, cell.placement, cell.shard, epoch=cell.epoch, segment=cell.segment, variant=cell.variant
    )


def _shop_key(count: ShopCount) -> dict[str, str]:
    return tables.shop_key(count.day, count.group, count.bucket)


def _number(item: Item, name: str) -> int:
    return int(item[name]["N"]) if name in item else 0


def _position(position: StreamPosition) -> dict[str, dict[str, str]]:
    kinds = {kind: name for name, kind in _KINDS.items()}
    rows = [[kinds[type(count)], *astuple(count)] for count in position.pending]
    return {"sequence": {"S": position.sequence}, "pending": {"S": json.dumps(rows, separators=(",", ":"))}}
