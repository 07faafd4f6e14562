"""`recommender warehouse generate`: a seeded synthetic history of any size, as Parquet files or into a warehouse.

One part of at most a month is in memory at a time. Into a warehouse each part is loaded as of its last evening and its
days are run at once; a second call finds its parts in the ledger of loads and goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from recommender.contracts.fields import problem
from recommender.contracts.folders import HISTORY, claim
from tqdm import tqdm

from warehouse.connect import open_warehouse
from warehouse.day.day import read_watermark, run_range
from warehouse.engine.schema import create_layers
from warehouse.raw.raw_append import append
from warehouse.sources.synthetic_history import Delivery, deliveries, parts, write
from warehouse.sources.synthetic_shop import (
    EVENTS_PER_ITEM,
    EVENTS_PER_SHOPPER,
    MOST_ITEMS,
    VIEWS_PER_SESSION,
    Shop,
    sized,
)

DAYS_AT_ONCE: Final = 31


def add_options(command: argparse.ArgumentParser) -> None:
    """The command line of `generate`."""
    target = command.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, help="folder for Parquet files, one a table and part")
    target.add_argument("--database", type=Path, help="folder of the embedded warehouse; its days are run")
    command.add_argument("--events", type=int, default=1_000_000, help="events over all days, within some percent")
    command.add_argument("--days", type=int, default=1095)
    command.add_argument("--first", type=date.fromisoformat, default=Shop(1, 1).first, help="first day, YYYY-MM-DD")
    command.add_argument("--seed", type=int, default=7)
    command.add_argument("--shoppers", type=int, help=f"by default one for {EVENTS_PER_SHOPPER} events")
    command.add_argument(
        "--items", type=int, help=f"by default one for {EVENTS_PER_ITEM} events, 200 to {MOST_ITEMS:,}"
    )
    command.add_argument("--lists", type=float, default=1.0, help="recommended lists in view of a session, at most 4")


def generate(options: argparse.Namespace) -> dict[str, Any]:
    """Write the history of the options; return the rows of each table. Raises InvalidInput for a shop without size."""
    shop = _shop(options)
    planned = parts(shop, DAYS_AT_ONCE)
    delivered = tqdm(deliveries(shop, planned), total=len(planned), desc="generate", unit="part", file=sys.stderr)
    counted = _to_files(delivered, options.out) if options.out else _to_warehouse(delivered, options.database)
    rows: dict[str, int] = {}
    for counts in counted:
        rows = {table: rows.get(table, 0) + counts.get(table, 0) for table in {**rows, **counts}}
    end = shop.first + timedelta(days=shop.days)
    return {"synthetic": True, "seed": shop.seed, "from": str(shop.first), "until": str(end), "rows": rows}


def _shop(options: argparse.Namespace) -> Shop:
    for name in ("events", "days"):
        if getattr(options, name) < 1:
            raise problem(f"--{name}", getattr(options, name), "at least 1")
    if not 0 <= options.lists <= VIEWS_PER_SESSION:
        raise problem("--lists", options.lists, f"0 to {VIEWS_PER_SESSION:g}")
    return sized(
        options.events,
        options.days,
        first=options.first,
        seed=options.seed,
        shoppers=options.shoppers,
        items=options.items,
        lists_per_session=options.lists,
    )


def _to_files(delivered: Iterator[Delivery], folder: Path) -> Iterator[dict[str, int]]:
    claim(folder, HISTORY)
    for delivery in delivered:
        write(delivery, folder)
        yield {table: frame.height for table, frame in delivery.frames.items()}


def _to_warehouse(delivered: Iterator[Delivery], database: Path) -> Iterator[dict[str, int]]:
    """The rows that were loaded now; a part that was loaded before has none, and is run only where it was not."""
    with open_warehouse(os.environ, directory=database) as warehouse:
        create_layers(warehouse.connection)
        for delivery in delivered:
            loaded_at = datetime.combine(delivery.last, time()) - timedelta(microseconds=1)
            rows = {
                table: append(
                    warehouse.connection,
                    table,
                    frame,
                    load_id=f"synthetic/{delivery.first}/{delivery.last}/{table}",
                    loaded_at=loaded_at,
                )
                for table, frame in delivery.frames.items()
            }
            # With the day after it: the next run begins there, and does not look at this part once more.
            if read_watermark(warehouse.connection) < datetime.combine(delivery.last, time()):
                run_range(warehouse.connection, delivery.first, delivery.last)
            yield rows
