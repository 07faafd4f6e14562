"""Catalogue overrides on DynamoDB, read whole and kept for a few seconds.

The table holds only what changed since the bundle, so one scan by each container every few seconds is
cheaper than a look-up with every page view. While the store is down the last overrides serve on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from recommender.adapters.dynamodb.client import Database, Item
from recommender.errors import DependencyDown

Overrides = Mapping[str, Mapping[str, Any]]


class DynamoOverrides:
    """CatalogOverrides."""

    def __init__(
        self, database: Database, table: str, *, ttl_seconds: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Overrides in this table, read again after `ttl_seconds`."""
        self._database = database
        self._table = table
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._overrides: Overrides | None = None
        self._read_again_at = -float("inf")

    def current(self) -> Overrides:
        """item id -> {availability, price_cents, deleted}. Raises DependencyDown where it never could be read."""
        now = self._clock()
        if now >= self._read_again_at:
            try:
                self._overrides = dict(self._scan())
            except DependencyDown:
                if self._overrides is None:
                    raise
            self._read_again_at = now + self._ttl_seconds
        assert self._overrides is not None  # read above, or earlier
        return self._overrides

    def _scan(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        start: dict[str, Any] = {}
        while True:
            page = self._database.call("scan", TableName=self._table, **start)
            for item in page["Items"]:
                yield item["item_id"]["S"], _change(item)
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _change(item: Item) -> Mapping[str, Any]:
    change: dict[str, Any] = {}
    if "availability" in item:
        change["availability"] = item["availability"]["S"]
    if "price_cents" in item:
        change["price_cents"] = int(item["price_cents"]["N"])
    if "deleted" in item:
        change["deleted"] = item["deleted"]["BOOL"]
    return change
