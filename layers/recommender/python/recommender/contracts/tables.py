"""The DynamoDB tables and their keys; CDK and the local run create tables from these definitions.

sessions           one item a session: last events, what was seen and credited, and the outbox that the
                   stream carries on. TTL; the stream delivers new images.
shoppers           one item a shopper: packed purchase history, cohort, consent. TTL: each publication renews who
                   is still in the exports, so an erased shopper leaves by itself.
experiments        configurations, the weights snapshot, sharded counters, posteriors, audit. Recovery.
ledger             exactly-once positions, orders that were counted, leases. TTL.
catalog_overrides  price, availability and deletions since the bundle. Recovery.

Decisions: docs/decisions/serving.md (053, 199).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

COUNTER_SHARDS: Final = 8
VISITOR_BUCKETS: Final = 64  # groups of visitors whose trade is counted apart: what an interval is made from
EXPIRES_AT: Final = "expires_at"  # epoch seconds; readers must also filter, deletion is lazy
SESSION_TTL_SECONDS: Final = 24 * 3600
LEDGER_TTL_SECONDS: Final = 14 * 24 * 3600
ORDER_TTL_SECONDS: Final = 90 * 24 * 3600  # a confirmation page that is opened again later counts again
SHOPPER_TTL_SECONDS: Final = 21 * 24 * 3600  # without a training for so long, a shopper is known by the visit alone


@dataclass(frozen=True, slots=True)
class Table:
    """A table: logical name, keys, and the properties that must not be forgotten."""

    name: str
    partition_key: str
    sort_key: str | None = None
    expires: bool = False
    streams: bool = False
    recoverable: bool = False


SESSIONS: Final = Table("sessions", "session_id", expires=True, streams=True)
SHOPPERS: Final = Table("shoppers", "shopper_id", expires=True)
EXPERIMENTS: Final = Table("experiments", "pk", "sk", recoverable=True)
LEDGER: Final = Table("ledger", "key", expires=True)
CATALOG_OVERRIDES: Final = Table("catalog_overrides", "item_id", recoverable=True)
TABLES: Final = (SESSIONS, SHOPPERS, EXPERIMENTS, LEDGER, CATALOG_OVERRIDES)

CONFIGS_PK: Final = "CFG"
SNAPSHOT_PK: Final = "SNAP"
CURRENT: Final = "CURRENT"


def config_key(experiment_id: str, version: int | None = None) -> dict[str, str]:
    """An immutable configuration version, or the current one, which stands beside those of other experiments."""
    if version is None:
        return {"pk": CONFIGS_PK, "sk": experiment_id}
    return {"pk": f"CFG#{experiment_id}", "sk": f"V#{version:06d}"}


def snapshot_key(epoch: int | None = None) -> dict[str, str]:
    """The weights of one epoch, or the current ones."""
    return {"pk": SNAPSHOT_PK, "sk": CURRENT if epoch is None else f"E#{epoch:08d}"}


def counter_partition(experiment_id: str, placement: str, shard: int) -> str:
    """The partition that holds a shard of the counters of one placement."""
    return f"CNT#{experiment_id}#{placement}#{shard}"


def counter_key(
    experiment_id: str, placement: str, shard: int, *, epoch: int, segment: str, variant: str
) -> dict[str, str]:
    """One counter cell of one shard."""
    return {"pk": counter_partition(experiment_id, placement, shard), "sk": f"{epoch:08d}#{segment}#{variant}"}


def read_counter_sort_key(sort_key: str) -> tuple[int, str, str]:
    """(epoch, segment, variant) of a counter cell."""
    epoch, segment, variant = sort_key.split("#")
    return int(epoch), segment, variant


def shop_partition(bucket: int) -> str:
    """The partition that holds the trade of a bucket of visitors."""
    return f"SHOP#{bucket % COUNTER_SHARDS}"


def shop_key(day: str, group: str, bucket: int) -> dict[str, str]:
    """The trade of a bucket of one group of visitors on a day, YYYY-MM-DD. It belongs to no experiment."""
    return {"pk": shop_partition(bucket), "sk": f"{day}#{group}#{bucket:02d}"}


def read_shop_sort_key(sort_key: str) -> tuple[str, str, int]:
    """(day, group, bucket) of a trade cell."""
    day, group, bucket = sort_key.split("#")
    return day, group, int(bucket)


def posterior_key(experiment_id: str, epoch: int) -> dict[str, str]:
    """The reallocation's result at the end of an epoch."""
    return {"pk": f"POST#{experiment_id}", "sk": f"E#{epoch:08d}"}


def audit_key(experiment_id: str, moment: str) -> dict[str, str]:
    """One entry of the audit trail."""
    return {"pk": f"AUD#{experiment_id}", "sk": moment}


def lease_key(name: str) -> dict[str, str]:
    """The current owner of a job, in the ledger."""
    return {"key": f"LEASE#{name}"}


def stream_position_key(consumer: str, shard_id: str) -> dict[str, str]:
    """A consumer's position in one shard of the session stream."""
    return {"key": f"POS#{consumer}#{shard_id}"}


def order_key(kind: str, transaction_id: str, item_ids: Iterable[str] = ()) -> dict[str, str]:
    """An order that was counted, or a refund of these items of it, whatever session reported it."""
    parts = (kind, transaction_id, *sorted(item_ids))
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return {"key": f"ORDER#{hashlib.sha256(text.encode()).hexdigest()[:32]}"}
