"""Catalogue overrides on DynamoDB, read whole and kept for a few seconds.

The table holds only what changed since the bundle, so one scan by each container every few seconds is
cheaper than a look-up with every page view. While the store is down the last overrides serve on. Shops write the
table themselves: a row that cannot be read is skipped and counted, and harms no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from recommender.adapters.dynamodb.client import Database, Item
from recommender.domain.serving.eligibility import AVAILABILITIES
from recommender.errors import DependencyDown

Overrides = Mapping[str, Mapping[str, Any]]
MAX_PRICE_CENTS: Final = 2**31 - 1  # what the bundle's prices hold


class DynamoOverrides:
    """CatalogOverrides."""

    def __init__(
        self,
        database: Database,
        table: str,
        *,
        ttl_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        on_skipped: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """Overrides in this table, read again after `ttl_seconds`; `on_skipped` gets how many rows were bad."""
        self._database = database
        self._table = table
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._on_skipped = on_skipped
        self._overrides: Overrides | None = None
        self._read_again_at = -float("inf")

    def current(self) -> Overrides:
        """item id -> {availability, price_cents, deleted}. Raises DependencyDown where it never could be read."""
        now = self._clock()
        if now >= self._read_again_at:
            try:
                self._overrides = self._read()
            except DependencyDown:
                if self._overrides is None:
                    raise
            self._read_again_at = now + self._ttl_seconds
        assert self._overrides is not None  # read above, or earlier
        return self._overrides

    def _read(self) -> Overrides:
        overrides: dict[str, Mapping[str, Any]] = {}
        skipped = 0
        for item in self._scan():
            try:
                overrides[_text(item, "item_id")] = _change(item)
            except (KeyError, TypeError, ValueError, ArithmeticError):
                skipped += 1
        if skipped:
            self._on_skipped(skipped)
        return overrides

    def _scan(self) -> Iterator[Item]:
        start: dict[str, Any] = {}
        while True:
            page = self._database.call("scan", TableName=self._table, **start)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _change(item: Item) -> Mapping[str, Any]:
    """Parse the row's changes. Raises KeyError, TypeError, ValueError or ArithmeticError for a bad row."""
    change: dict[str, Any] = {}
    if "availability" in item:
        change["availability"] = _text(item, "availability")
        if change["availability"] not in AVAILABILITIES:
            raise ValueError(f"availability is none of {AVAILABILITIES}")
    if "price_cents" in item:
        change["price_cents"] = _cents(item["price_cents"]["N"])
    if "deleted" in item:
        change["deleted"] = item["deleted"]["BOOL"]
        if not isinstance(change["deleted"], bool):
            raise TypeError("deleted is no boolean")
    return change


def _text(item: Item, name: str) -> str:
    text = item[name]["S"]
    if not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    text.encode()  # raises for half a character, which no id of a bundle has
    return text


def _cents(number: str) -> int:
    cents = Decimal(number)
    if cents != cents.to_integral_value() or not 0 <= cents <= MAX_PRICE_CENTS:
        raise ValueError(f"price_cents is no whole number from 0 to {MAX_PRICE_CENTS}")
    return int(cents)
