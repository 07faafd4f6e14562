"""Shoppers, visits and pages for tests of the ranking, in the words of the tiny bundle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from recommender.contracts.events import Event, EventItem
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.visit import PurchaseHistory, Session, Shopper

from tests.tiny_bundle import DAYS

NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=DAYS)


def page(name: str = "home", **fields: Any) -> PageContext:
    """A page at the end of the data."""
    return PageContext(name, NOW, **fields)


def visit(*events: tuple[str, str]) -> Session:
    """A session of (event name, item id), a minute apart."""
    return Session("s").after(
        *(
            Event(f"e{n}", name, NOW - timedelta(minutes=len(events) - n), "v", "s", items=(EventItem(item),))
            for n, (name, item) in enumerate(events)
        )
    )


def shopper(*items: tuple[str, int, float]) -> Shopper:
    """Bought (item id, orders, days ago), at first 100 days before that."""
    ids = tuple(item for item, _, _ in items)
    last = tuple(DAYS - ago for _, _, ago in items)
    orders = tuple(count for _, count, _ in items)
    return Shopper("ann", PurchaseHistory(ids, orders, last, tuple(day - 100 for day in last), max(orders, default=0)))
