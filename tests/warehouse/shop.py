"""Small deliveries for the tests, and what to compare afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from recommender.contracts.events import Accepted, Event, EventItem, to_accepted_record

from warehouse.build import LAYERS
from warehouse.connect import Warehouse
from warehouse.day.day import run_day
from warehouse.engine.statements import Connection, execute
from warehouse.export.parts import fingerprints as table_fingerprints
from warehouse.raw.landed_events import load_landing
from warehouse.raw.raw_append import append
from warehouse.tables import RAW

TODAY = "2026-03-02"
SQL_TO_POLARS = {"timestamp_ntz": pl.Datetime("us"), "number(9, 0)": pl.Int64, "number(18, 0)": pl.Int64}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def deliver(
    warehouse: Warehouse, table: str, rows: Sequence[dict[str, Any]], *, loaded_at: str, load_id: str = ""
) -> int:
    """Append rows to a raw table; absent columns are null."""
    schema = {name: SQL_TO_POLARS.get(sql_type, pl.String) for name, sql_type in RAW[table]}
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
    return append(
        warehouse.connection, table, frame, load_id=load_id or f"{table}/{loaded_at}", loaded_at=at(loaded_at)
    )


def deliver_items(warehouse: Warehouse, *item_ids: str, loaded_at: str = "2026-01-01T02:00:00") -> None:
    rows = [
        {"item_id": item_id, "title": f"Item {item_id}", "category": "PANTRY > TEA", "price_cents": 200}
        for item_id in item_ids
    ]
    deliver(warehouse, "items", rows, loaded_at=loaded_at)


def order_line(
    order_id: str,
    item_id: str,
    purchased_at: str,
    *,
    quantity: int = 1,
    price_cents: int = 200,
    shopper_id: str = "anna",
) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "item_id": item_id,
        "shopper_id": shopper_id,
        "purchased_at": at(purchased_at),
        "quantity": quantity,
        "price_cents": price_cents,
    }


def event(
    event_id: str, name: str, event_time: str, *items: EventItem, user_id: str | None = "anna", **more: Any
) -> Event:
    return Event(
        event_id=event_id,
        event_name=name,
        event_time=at(event_time).replace(tzinfo=UTC),
        visitor_id=more.pop("visitor_id", "browser"),
        session_id=more.pop("session_id", "visit"),
        user_id=user_id,
        items=items,
        **more,
    )


@dataclass
class Shop:
    """Lands events the way `deliver_events` does: one immutable file of records a batch."""

    warehouse: Warehouse
    folder: Path

    def land(self, *events: Event, loaded_at: str, claims: dict[str, Any] | None = None) -> None:
        records = [to_accepted_record(Accepted(event, claims)) for event in events]
        path = self.folder / "dt" / f"{hashlib.sha256(json.dumps(records).encode()).hexdigest()[:12]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        load_landing(self.warehouse.connection, self.folder, loaded_at=at(loaded_at))


def rows_of(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    return execute(warehouse.connection, query)


def fingerprints(connection: Connection) -> dict[str, str]:
    """A hash over every row of every table of staging and marts, whatever the order of the rows."""
    tables = [f"{layer}.{table}" for layer in ("staging", "marts") for table in LAYERS[layer]]
    return {
        table: hashlib.sha256(
            "\n".join(sorted(map(repr, execute(connection, f"select * from {table}")))).encode()
        ).hexdigest()
        for table in tables
    }


def forget_derived(warehouse: Warehouse) -> None:
    """Back to the state after the loads: staging, marts and the watermark are empty."""
    tables = rows_of(
        warehouse,
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema in ('STAGING', 'MARTS') and table_type = 'BASE TABLE' and table_name != 'MARGIN_RULES'",
    )
    for table in [*(name for (name,) in tables), "ops.watermarks"]:
        rows_of(warehouse, f"truncate table {table}")


def rebuilt(warehouse: Warehouse, last: date) -> dict[str, str]:
    """The fingerprints that one run over everything that was loaded gives."""
    forget_derived(warehouse)
    run_day(warehouse.connection, last)
    return table_fingerprints(warehouse.connection)
