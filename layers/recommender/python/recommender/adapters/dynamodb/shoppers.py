"""Shoppers on DynamoDB: one item a shopper, `packed` holding the purchase history, segment and consent.

Every publication writes all shoppers of the exports anew; one who is erased is no longer among them and expires.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from recommender.adapters.dynamodb.client import Database, Item
from recommender.adapters.dynamodb.sessions import is_expired
from recommender.contracts.tables import EXPIRES_AT, SHOPPER_TTL_SECONDS
from recommender.domain.shopper import PurchaseHistory, Shopper
from recommender.errors import DependencyDown

BATCH: Final = 25  # of BatchWriteItem
ATTEMPTS: Final = 8


class DynamoShoppers:
    """A ShopperStore."""

    def __init__(
        self,
        database: Database,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Shoppers in this table. `sleep` waits between attempts of a throttled write, `clock` tells epoch seconds."""
        self._database = database
        self._table = table
        self._sleep = sleep
        self._clock = clock

    def load(self, shopper_id: str) -> Shopper | None:
        """The shopper, or None."""
        answer = self._database.call("get_item", TableName=self._table, Key={"shopper_id": {"S": shopper_id}})
        return read_shopper(answer["Item"], datetime.fromtimestamp(self._clock(), UTC)) if "Item" in answer else None

    def save(self, shoppers: Sequence[Shopper]) -> None:
        """Store these shoppers, replacing older versions; the last one of an id wins."""
        latest = list({shopper.shopper_id: shopper for shopper in shoppers}.values())
        expires_at = int(self._clock()) + SHOPPER_TTL_SECONDS
        for start in range(0, len(latest), BATCH):
            batch = [pack_shopper(one, expires_at=expires_at) for one in latest[start : start + BATCH]]
            self._write([{"PutRequest": {"Item": item}} for item in batch])

    def _write(self, requests: list[dict[str, dict[str, Item]]]) -> None:
        for attempt in range(ATTEMPTS):
            answer = self._database.call("batch_write_item", RequestItems={self._table: requests})
            requests = answer.get("UnprocessedItems", {}).get(self._table, [])
            if not requests:
                return
            self._sleep(0.05 * 2**attempt)
        raise DependencyDown(f"{self._table} left {len(requests)} items unwritten after {ATTEMPTS} attempts")


def pack_shopper(shopper: Shopper, *, expires_at: int) -> Item:
    """The item of a shopper."""
    body = asdict(shopper)
    del body["shopper_id"]
    packed = zlib.compress(json.dumps(body, separators=(",", ":")).encode())
    return {
        "shopper_id": {"S": shopper.shopper_id},
        "packed": {"B": packed},
        EXPIRES_AT: {"N": str(expires_at)},
    }


def read_shopper(item: Item, now: datetime) -> Shopper | None:
    """The shopper, None where the item's time is over; one that was written before there were times has none."""
    return None if EXPIRES_AT in item and is_expired(item, now) else unpack_shopper(item)


def unpack_shopper(item: Item) -> Shopper:
    """The inverse of `pack_shopper`."""
    body = json.loads(zlib.decompress(item["packed"]["B"]))
    history = body.pop("history")
    count_orders = history.pop("count_orders")
    return Shopper(
        shopper_id=item["shopper_id"]["S"],
        history=PurchaseHistory(**{name: tuple(values) for name, values in history.items()}, count_orders=count_orders),
        **body,
    )
