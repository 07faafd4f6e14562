"""The serving path's one read: the session and the shopper in a single BatchGetItem.

Shoppers on DynamoDB: one item a shopper, `packed` holding the purchase history, segment and consent.

Every publication writes all shoppers of the exports anew; one who is erased is no longer among them and expires.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from recommender.adapters.dynamodb.client import Database, Item
from recommender.adapters.dynamodb.sessions import is_expired, unpack_session
from recommender.adapters.session_item import SESSION_ATTRIBUTES
from recommender.contracts.tables import EXPIRES_AT, SHOPPER_TTL_SECONDS
from recommender.domain.serving.visit import PurchaseHistory, Session, Shopper
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
        """Shoppers in this table. `sleep` waits between attempts of a throttled write, `clock` gives epoch seconds."""
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


class DynamoState:
    """A StateReader."""

    def __init__(self, database: Database, *, sessions_table: str, shoppers_table: str) -> None:
        """Over these two tables."""
        self._database = database
        self._sessions_table = sessions_table
        self._shoppers_table = shoppers_table

    def read(self, *, session_id: str, shopper_ids: Sequence[str], now: datetime) -> tuple[Session, Shopper | None]:
        """The session, without its digests and outbox, and the first of `shopper_ids` that is known."""
        wanted: dict[str, Any] = {
            self._sessions_table: {
                "Keys": [{"session_id": {"S": session_id}}],
                "ProjectionExpression": ", ".join(("session_id", *SESSION_ATTRIBUTES, EXPIRES_AT)),
                "ConsistentRead": True,  # what was just posted counts on the next page view
            }
        }
        distinct = list(dict.fromkeys(shopper_ids))
        if distinct:
            wanted[self._shoppers_table] = {"Keys": [{"shopper_id": {"S": shopper_id}} for shopper_id in distinct]}
        answer = self._database.call("batch_get_item", RequestItems=wanted)
        if answer.get("UnprocessedKeys"):
            raise DependencyDown("DynamoDB throttled the read of session and shopper")
        try:
            return _unpacked(answer["Responses"], session_id, distinct, now, self._sessions_table, self._shoppers_table)
        except Exception as error:  # whatever bytes somebody wrote there, the page goes on without them
            raise DependencyDown(f"what is stored of the session or the shopper cannot be read: {error!r}") from error


def _unpacked(
    found: Mapping[str, Sequence[Item]], session_id: str, shopper_ids: Sequence[str], now: datetime, *tables: str
) -> tuple[Session, Shopper | None]:
    sessions_table, shoppers_table = tables
    session = Session(session_id)
    for item in found.get(sessions_table, ()):
        if not is_expired(item, now):
            session = unpack_session(session_id, item)
    items = {item["shopper_id"]["S"]: item for item in found.get(shoppers_table, ())}
    known = (read_shopper(items[shopper_id], now) for shopper_id in shopper_ids if shopper_id in items)
    return session, next((shopper for shopper in known if shopper is not None), None)
