"""A shop of five items, three shoppers and seven orders, written out, as the exports that jobs read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from recommender.contracts.exports import EXPORTS

from training_jobs.exports import POLARS_TYPES, Exports

START = datetime(2026, 1, 1, 8)  # naive UTC, as the exports
UNTIL = START + timedelta(days=60)

# order, shopper, day, items
ORDERS = (
    ("o1", "ann", 0, ("tea", "milk")),
    ("o2", "bob", 1, ("tea", "milk", "soap")),
    ("o3", "ann", 10, ("tea",)),
    ("o4", "ann", 30, ("tea", "jam")),
    ("o5", "cy", 40, ("soap",)),
    ("o6", "bob", 50, ("milk", "tea")),
    ("o7", "cy", 70, ("jam", "jam")),  # after UNTIL
)


def frame(name: str, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """An export of these rows."""
    schema = {column: POLARS_TYPES[kind] for column, kind in EXPORTS[name]}
    return pl.DataFrame(rows, schema=schema, orient="row")


def shop(**changes: pl.DataFrame) -> Exports:
    """The exports; `changes` replace frames."""
    purchases = [
        (shopper, item, order, START + timedelta(days=day), 1, 100)
        for order, shopper, day, items in ORDERS
        for item in items
    ]
    items = [
        ("tea", "Green tea", "Loose leaves", "Food > Drinks", "Leaf", 300, 0.5, False, "in_stock"),
        ("milk", "Milk", None, "Food > Dairy", "Farm", 100, 0.1, False, "in_stock"),
        ("soap", "Soap", "", "Home > Bath", "Suds", 200, 0.4, False, "in_stock"),
        ("jam", "Jam", "", "Food > Sweet", "Farm", 250, 0.3, False, "discontinued"),
        ("wax", "Wax", "", None, None, None, None, False, None),  # never bought, hardly described
    ]
    frames = {
        "purchases": frame("purchases", purchases),
        "items": frame("items", items),
        "shoppers": frame("shoppers", []),
        "session_events": frame("session_events", []),
        **changes,
    }
    exports = Exports(**frames, data_from=START, data_until=START + timedelta(days=71), data_hash="0" * 64)
    return replace(exports)


def event(
    session: str, name: str, minute: int, item: str | None, *, term: str | None = None, derived: bool = False
) -> tuple[Any, ...]:
    """A row of session_events, `minute` minutes after day 20."""
    moment = START + timedelta(days=20, minutes=minute)
    return (session, "ann", f"{session}-{minute}", name, moment, item, term, derived)
