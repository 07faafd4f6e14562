"""A shop of a dozen items over four weeks, for tests that need exports."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from recommender.contracts.exports import EXPORTS

from training_jobs.exports import POLARS_TYPES, Exports, read_exports, write_exports

START = datetime(2026, 10, 1)
KINDS = ("apple juice", "rye bread", "cheddar cheese", "green tea")
SIZES = ("small", "medium", "large")


def small_exports() -> Exports:
    """12 items of 4 kinds; each day one order of two sizes of one kind, and one search for it."""
    items = [
        {
            "item_id": f"{kind[:3]}-{size[0]}",
            "title": f"{kind} {size}",
            "description": f"{kind} {size}",
            "category": f"Food > {kind.split()[1].title()}",
            "brand": "Acme",
            "price_cents": 199,
            "margin_share": 0.3,
            "margin_derived": False,
            "availability": "in_stock",
        }
        for kind in KINDS
        for size in SIZES
    ]
    purchases, events = [], []
    for day in range(28):
        kind = KINDS[day % 4]
        moment = START + timedelta(days=day, hours=9)
        ids = [f"{kind[:3]}-{size[0]}" for size in SIZES[: 2 + day % 2]]
        shared = {"shopper_id": f"s-{day % 5}", "order_id": f"o-{day}", "purchased_at": moment}
        purchases += [{**shared, "item_id": item_id, "quantity": 1, "price_cents": 199} for item_id in ids]
        visit = {"session_id": f"v-{day}", "shopper_id": f"s-{day % 5}", "derived": True}
        search = {"event_name": "search", "search_term": kind.split()[0], "item_id": None}
        view = {"event_name": "view_item", "search_term": None, "item_id": ids[0]}
        for minute, event in enumerate((search, view)):
            moment = START + timedelta(days=day, hours=8, minutes=minute)
            events.append({**visit, **event, "event_id": f"e-{day}-{minute}", "event_time": moment})
    shoppers = [{"shopper_id": f"s-{n}", "attributes": "{}"} for n in range(5)]
    frames = {
        name: pl.DataFrame(rows, schema={column: POLARS_TYPES[kind] for column, kind in EXPORTS[name]})
        for name, rows in (
            ("purchases", purchases),
            ("items", items),
            ("shoppers", shoppers),
            ("session_events", events),
        )
    }
    return Exports(**frames, data_from=START, data_until=START + timedelta(days=28), data_hash="", derived=True)


def written_exports(root: Path) -> Exports:
    """The same, written below `root` and read again."""
    write_exports(root, small_exports(), source="tests", created_at=START)
    return read_exports(root)
