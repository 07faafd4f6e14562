"""Shoppers on DynamoDB: one item a shopper, `packed` holding the purchase history, segment and consent."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

from recommender.adapters.dynamodb.client import Database, Item
from recommender.domain.shopper import PurchaseHistory, Shopper
from recommender.errors import DependencyDown

BATCH: Final = 25  # of BatchWriteItem
ATTEMPTS: Final = 8


class DynamoShoppers:
    """A ShopperStore."""

    def __init__(self, database: Database, table: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Shoppers in this table; `sleep` waits between attempts of a throttled bulk write."""
        self._database = database
        self._table = table
        self._sleep = sleep

    def load(self, shopper_id: str) -> Shopper | None:
        """The shopper, or None."""
        answer = self._database.call("get_item", TableName=self._table, Key={"shopper_id": {"S": shopper_id}})
        return unpack_shopper(answer["Item"]) if "Item" in answer else None

    def save(self, shoppers: Sequence[Shopper]) -> None:
        """Store these shoppers, replacing older versions; the last one of an id wins."""
        latest = list({shopper.shopper_id: shopper for shopper in shoppers}.values())
        for start in range(0, len(latest), BATCH):
            self._write([{"PutRequest": {"Item": pack_shopper(one)}} for one in latest[start : start + BATCH]])

    def _write(self, requests: list[dict[str, dict[str, Item]]]) -> None:
        for attempt in range(ATTEMPTS):
            answer = self._database.call("batch_write_item", RequestItems={self._table: requests})
            requests = answer.get("UnprocessedItems", {}).get(self._table, [])
            if not requests:
                return
            self._sleep(0.05 * 2**attempt)
        raise DependencyDown(f"{self._table} left {len(requests)} items unwritten after {ATTEMPTS} attempts")


def pack_shopper(shopper: Shopper) -> Item:
    """The item of a shopper."""
    body = asdict(shopper)
    del body["shopper_id"]
    packed = zlib.compress(json.dumps(body, separators=(",", ":")).encode())
    return {"shopper_id": {"S": shopper.shopper_id}, "packed": {"B": packed}}


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
