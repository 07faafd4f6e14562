"""`recommender warehouse export`: the exports by hand, as the schedule writes them, into a folder or onto S3."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.day.day import run_day
from warehouse.day.schedule import load_landed, write_exports

if TYPE_CHECKING:
    from warehouse.connect import Warehouse


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of the command."""
    command.add_argument("--exports", required=True, help="folder or s3:// prefix; one named by its day follows on")
    command.add_argument("--landing", type=Path, help="folder of JSON lines that the running shop has landed")
    command.add_argument("--full", action="store_true", help="write every month anew, also where nothing changed")


def export(warehouse: Warehouse, options: argparse.Namespace, *, now: datetime) -> dict[str, Any]:
    """Take in what has landed, then write what training reads; what was written. `now` is naive UTC."""
    events = 0
    if options.landing is not None and options.landing.is_dir():
        events = load_landed(warehouse.connection, str(options.landing), loaded_at=now)
    if events:
        run_day(warehouse.connection, now.date())
    s3 = _client() if options.exports.startswith("s3://") else None
    manifest = write_exports(warehouse, options.exports, now=now, s3=s3, full=options.full)
    return {
        "exports": options.exports,
        "landed": events,
        "rows": {name: entry.rows for name, entry in manifest.files.items()},
        "data_from": manifest.data_from,
        "data_until": manifest.data_until,
    }


def _client() -> Any:
    import boto3

    return boto3.client("s3")
