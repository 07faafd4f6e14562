"""How often the gates cry wolf: two months of a healthy shop, run day by day, and every warning counted.

    recommender bench gates --days 60                            # a generated shop
    recommender bench gates --days 60 --source synthetic          # late, repeated and corrected rows, lists, reviews
    recommender bench gates --days 60 --source complete-journey   # a real grocer, its holidays included

Prints the days, the verdicts by gate that were judged, and each warning. Four weeks are run before the counting
starts, because volumes are held against them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from benchmarks import cli
from warehouse.build import Plan
from warehouse.connect import open_local
from warehouse.day.day import run_day
from warehouse.engine.schema import create_layers
from warehouse.engine.statements import execute
from warehouse.raw.raw_append import append
from warehouse.sources import complete_journey, generated
from warehouse.sources.synthetic_history import deliveries, parts
from warehouse.sources.synthetic_shop import Shop

Night = tuple[date, datetime, dict[str, pl.DataFrame]]  # the day to run, the time of loading, the tables

WEEKS_BEFORE = 4
SYNTHETIC = "synthetic"
SOURCES = (generated.SOURCE, SYNTHETIC, complete_journey.SOURCE)
EVENTS_A_DAY = 1_500  # of the synthetic shop


def main(arguments: list[str] | None = None) -> int:
    """Run the days, print the counts as JSON."""
    parser = argparse.ArgumentParser(prog="recommender bench gates", description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--source", choices=SOURCES, default=generated.SOURCE)
    parser.add_argument("--today", type=date.fromisoformat, default=date(2026, 3, 2))
    options = parser.parse_args(arguments)
    return cli.answer(lambda: count_warnings(options.source, options.days, options.today), None)


def count_warnings(source: str, days: int, today: date) -> dict[str, Any]:
    """The warnings of `days` healthy days, and how many verdicts had something to judge."""
    warnings: list[str] = []
    nights = list(_synthetic(days, today) if source == SYNTHETIC else _of_history(source, days, today))
    counted_from = nights[-1][0] - timedelta(days=days - 1)
    with tempfile.TemporaryDirectory() as folder, open_local(Path(folder)) as warehouse:
        connection = warehouse.connection
        create_layers(connection)
        for day, loaded_at, frames in tqdm(nights, unit="day", file=sys.stderr):
            for name, frame in frames.items():
                append(connection, name, frame, load_id=f"{day}/{name}", loaded_at=loaded_at)
            found = run_day(connection, day).warnings
            warnings += [f"{day} {text}" for text in found if day >= counted_from]
        judged = execute(
            connection,
            "select name, sum(iff(count_checked > 0, 1, 0)) from quality.results where run_on >= %(day)s group by name",
            {"day": counted_from},
        )
    return {
        "source": source,
        "days": days,
        "verdicts": sum(int(number) for _, number in judged),
        "judged_days": {name: int(number) for name, number in sorted(judged)},
        "warnings_by_gate": Counter(text.split()[1].rstrip(":") for text in warnings),
        "warnings": warnings,
    }


def _of_history(source: str, days: int, today: date) -> Iterator[Night]:
    count = days + WEEKS_BEFORE * 7
    history = Plan(source, days=count + 30).load(today)
    for loaded_at, frames in history.deliveries(count):
        yield history.first_run(count) if "items" in frames else loaded_at.date(), loaded_at, frames


def _synthetic(days: int, today: date) -> Iterator[Night]:
    """Each day is delivered two hours after its end; its late rows come with a later delivery."""
    count = days + WEEKS_BEFORE * 7 + 2
    shop = Shop(EVENTS_A_DAY * count, count, first=today - timedelta(days=count), shoppers=2_000, items=400)
    for delivery in deliveries(shop, parts(shop, 1)):
        yield delivery.last, datetime.combine(delivery.last, time(2)), delivery.frames


if __name__ == "__main__":
    sys.exit(main())
