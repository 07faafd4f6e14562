"""Whatever the days on which deliveries come: daily runs, a rerun and a backfill end in the same tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from recommender.contracts.events import Event, EventItem

from tests.warehouse.shop import Shop, at, deliver, deliver_items, event, forget_derived, order_line, rows_of
from warehouse.connect import Warehouse, open_local
from warehouse.day.day import read_watermark, run_day
from warehouse.day.schedule import backfill
from warehouse.export.parts import fingerprints

FIRST, LAST = date(2026, 2, 3), date(2026, 2, 5)
TEA, JAM = EventItem("tea", 1, 200), EventItem("jam", 2, 300)
CLAIMS = {"recommendation_id": "r1", "placement": "home", "propensity": 0.5}

VISIT = (
    event("e1", "search", "2026-02-02T10:00:00", search_term="green tea"),
    event("e2", "view_item", "2026-02-02T10:01:00", TEA),
    event("e3", "add_to_cart", "2026-02-02T10:02:00", TEA),
    event("e4", "purchase", "2026-02-02T10:05:00", TEA, JAM, transaction_id="o3"),
)
# What may arrive, each on a day that is drawn: events in one file, or rows of a raw table.
DELIVERIES: Mapping[str, tuple[Event, ...] | tuple[str, list[dict[str, Any]]]] = {
    "visit": VISIT,
    "visit again": VISIT[1:],
    "late, of a month ago": (event("l1", "add_to_cart", "2026-01-05T10:00:00", JAM, session_id="old", user_id="ben"),),
    "before the login": (event("l2", "view_item", "2026-02-02T09:45:00", JAM, user_id=None),),
    "refund": (event("r1", "refund", "2026-02-03T00:30:00", EventItem("tea", 1), transaction_id="o1"),),
    "orders": (
        "purchases",
        [
            order_line("o1", "tea", "2026-02-01T09:00:00", quantity=2, price_cents=400),
            order_line("o2", "jam", "2026-01-05T20:00:00", shopper_id="ben"),
        ],
    ),
    "correction": ("purchases", [order_line("o1", "tea", "2026-02-01T09:00:00", quantity=3, price_cents=600)]),
    "the order of the event": ("purchases", [order_line("o3", "tea", "2026-02-02T10:05:00")]),
    "new price": ("items", [{"item_id": "tea", "title": "Tea", "category": "PANTRY", "price_cents": 250}]),
    "review": (
        "reviews",
        [
            {
                "review_id": "v",
                "item_id": "tea",
                "shopper_id": "ben",
                "rating": 4,
                "reviewed_at": at("2026-02-01T09:00:00"),
            }
        ],
    ),
}


@pytest.fixture(scope="module")
def shared(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One warehouse for all draws; each begins by emptying it."""
    folder = tmp_path_factory.mktemp("increments")
    (folder / empty_database.name).write_bytes(empty_database.read_bytes())
    with open_local(folder) as warehouse:
        yield warehouse


def start_over(warehouse: Warehouse) -> None:
    forget_derived(warehouse)
    for table in ("raw.events", "raw.purchases", "raw.items", "raw.reviews", "ops.loads"):
        rows_of(warehouse, f"truncate table {table}")
    deliver_items(warehouse, "tea", "jam")


def load(shop: Shop, name: str, loaded_at: datetime) -> None:
    content = DELIVERIES[name]
    if isinstance(content[0], str):
        table, rows = content
        deliver(shop.warehouse, table, rows, loaded_at=loaded_at.isoformat(), load_id=f"{name}/{loaded_at}")
    else:
        shop.land(*content, loaded_at=loaded_at.isoformat(), claims=CLAIMS)


# No shrinking: a draw costs seconds, and the days of ten deliveries are readable as they are.
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    days=st.fixed_dictionaries({name: st.integers(0, 2) for name in DELIVERIES}),
    order=st.permutations(list(DELIVERIES)),
    again=st.integers(0, 2),
    days_at_once=st.sampled_from([2, 31]),
)
def test_daily_runs_reruns_and_a_backfill_give_the_same_tables(
    shared: Warehouse,
    tmp_path_factory: pytest.TempPathFactory,
    days: dict[str, int],
    order: list[str],
    again: int,
    days_at_once: int,
) -> None:
    start_over(shared)
    shop = Shop(shared, tmp_path_factory.mktemp("landing"))
    connection = shared.connection

    for offset in range(3):
        today = FIRST + timedelta(days=offset)
        for minute, name in enumerate(order):
            if days[name] == offset:
                load(shop, name, datetime.combine(today, time(2, minute)))
        run_day(connection, today)
    daily, watermark = fingerprints(connection), read_watermark(connection)

    run_day(connection, FIRST + timedelta(days=again))
    assert fingerprints(connection) == daily
    assert read_watermark(connection) == watermark

    forget_derived(shared)
    backfill(connection, FIRST, LAST, days_at_once=days_at_once)
    assert fingerprints(connection) == daily
    assert read_watermark(connection) == watermark
