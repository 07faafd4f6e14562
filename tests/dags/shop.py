"""A tiny generated shop with three nightly deliveries, and what the schedule makes of it, done without Airflow."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.dags.running import say


def last_three_days(now: datetime) -> list[date]:
    """The days of the three newest nightly runs."""
    last = (now - timedelta(hours=3)).date()
    return [last - timedelta(days=2), last - timedelta(days=1), last]


def landed(folder: Path, day: date) -> Path:
    """A landing with one event of a live shop."""
    from recommender.contracts.events import Event, EventItem, to_record

    at = datetime.combine(day, datetime.min.time(), UTC) - timedelta(hours=1)
    folder.mkdir()
    event = Event("live-1", "view_item", at, "browser", "visit", items=(EventItem("i00001"),))
    (folder / "batch.jsonl").write_text(json.dumps(to_record(event)) + "\n")
    return folder


def fill(connection: Any, days: list[date]) -> None:
    """Load a tiny shop's history and its three nightly deliveries; run the day before them."""
    from warehouse.day.day import run_day
    from warehouse.engine.schema import create_layers
    from warehouse.raw.raw_append import append
    from warehouse.sources import generated

    say("loading a generated shop")
    create_layers(connection)
    history = generated.load(days[-1], shop=generated.Shop(shoppers=12, items=30, days=10), seed=3)
    for loaded_at, frames in history.deliveries(len(days)):
        for name, frame in frames.items():
            append(connection, name, frame, load_id=f"{loaded_at}/{name}", loaded_at=loaded_at)
    run_day(connection, history.first_run(len(days)))


def run_straight(connection: Any, days: list[date], landing: Path) -> dict[str, str]:
    """What the DAG does, without Airflow."""
    from warehouse.day.day import run_day
    from warehouse.day.schedule import load_landed
    from warehouse.engine.schema import create_layers

    for day in days:
        say(f"straight run of {day}")
        create_layers(connection)
        load_landed(connection, str(landing), loaded_at=datetime.combine(day, datetime.min.time().replace(hour=3)))
        run_day(connection, day)
    return fingerprints_of(connection)


def fingerprints_of(connection: Any) -> dict[str, str]:
    from warehouse.export.parts import fingerprint, fingerprints

    raw = ("raw.events", "raw.purchases", "raw.items", "raw.shoppers", "ops.watermarks")
    return {**fingerprints(connection), **{table: fingerprint(connection, table) for table in raw}}
