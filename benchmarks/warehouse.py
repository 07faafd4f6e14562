"""Warehouse benchmark: how fast is a history loaded, and does a day cost more when more years lie behind it?

    python -m benchmarks.warehouse [--events N] [--days D] [--seed S] [--out DIR] [--directory DIR]

Writes a synthetic history through the product's loader (PUT, COPY) in parts of some half a million events, builds the
marts of each with the daily run, and at the end of each third of the time runs three days of N/300 events. Progress
goes to stderr; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from statistics import median
from typing import Any, Final

from recommender.contracts.fields import problem
from recommender.errors import RecommenderError
from tqdm import tqdm

from benchmarks import report
from benchmarks.machine import describe_machine
from benchmarks.warehouse_report import sections
from warehouse.engine import Connection, open_local
from warehouse.loading import append
from warehouse.pipeline import run_range
from warehouse.sources.synthetic_history import Delivery, Part, deliveries, parts
from warehouse.sources.synthetic_shop import Shop
from warehouse.statements import create_layers, execute

PROTOCOL: Final = {
    "bulk": "rows of all raw tables a second of wall clock through Parquet, PUT and COPY; without generating them",
    "marts": "the daily run over a part at a time, all staging and mart steps and checks, in seconds",
    "increment": "load and run of one day of events/300 rows; median of three days in a row at the end of each third",
    "steps": "seconds from the start of a step to that of the next; the last one includes checks and the commit",
    "cost_last_year_over_first": "CPU seconds of such a day at the end over those after the first third",
    "rebuild": "marts of everything up to then, summed over the parts: what a day costs where marts are built anew",
    "limits": "no list views with tokens, so marts.impressions stays empty; the embedded engine, not Snowflake",
}
THIRDS: Final = 3
DAYS_MEASURED: Final = 3
SHARE_OF_DAY: Final = 300
EVENTS_PER_PART: Final = 500_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took."""

    wall: float
    cpu: float
    steps: dict[str, float] = field(default_factory=dict)  # wall seconds of each step


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.events < SHARE_OF_DAY or options.days < THIRDS * (options.repeats + 1):
            raise problem(
                "--events, --days",
                (options.events, options.days),
                f"at least 300 events and {THIRDS * (options.repeats + 1)} days",
            )
        result = run(options)
    except RecommenderError as error:
        print(error.detail, file=sys.stderr)
        return 2
    if options.out:
        report.write(result, options.out, sections(result))
    print(json.dumps(result), flush=True)
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Load, build and measure in `--directory`, or in a folder that is removed afterwards."""
    shop = Shop(
        options.events,
        options.days,
        seed=options.seed,
        shoppers=max(100, options.events // 75),
        items=min(50_000, max(200, options.events // 600)),
    )
    with tempfile.TemporaryDirectory() as folder:
        directory = options.directory or Path(folder)
        with open_local(directory) as warehouse:
            create_layers(warehouse.connection)
            measured = _measure(warehouse.connection, shop, options.repeats)
        size = sum(path.stat().st_size for path in directory.glob("*.db*"))
    return {
        "benchmark": "warehouse",
        "label": "synthetic history, embedded engine",
        "protocol": PROTOCOL,
        "seeds": [shop.seed],
        "data": {"name": "synthetic_history", "events": shop.events, "days": shop.days, "shoppers": shop.shoppers},
        **measured,
        "database_mb": round(size / 1e6),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": describe_machine(),
    }


def schedule(shop: Shop, repeats: int = DAYS_MEASURED) -> list[Part]:
    """Parts of at least a month, and at the end of each third single days, whose number of events is set."""
    planned: list[Part] = []
    third = shop.days // THIRDS
    for number in range(THIRDS):
        first = shop.first + timedelta(days=number * third)
        days = third - repeats
        own = Shop(shop.events, days, first=first)
        planned += parts(own, max(31, EVENTS_PER_PART * shop.days // shop.events))
        for day in range(days, third):
            start = first + timedelta(days=day)
            planned.append(Part(start, start + timedelta(days=1), max(1, shop.events // SHARE_OF_DAY)))
    return planned


def _measure(connection: Connection, shop: Shop, repeats: int) -> dict[str, Any]:
    rows = {"bulk": 0, "increment": 0}
    loads: list[Cost] = []
    builds: list[Cost] = []
    days: list[tuple[int, list[Cost], float]] = []
    planned = schedule(shop, repeats)
    together = zip(planned, deliveries(shop, planned), strict=True)
    for part, delivery in tqdm(together, total=len(planned), desc="parts", file=sys.stderr):
        is_day = part.events is not None
        loaded_at = datetime.combine(part.last, clock()) + (
            timedelta(hours=2) if is_day else -timedelta(microseconds=1)
        )
        count, load = _load(connection, delivery, loaded_at)
        rows["increment" if is_day else "bulk"] += count
        build = _build(connection, part.last if is_day else part.first, part.last)
        if not is_day:
            loads.append(load)
            builds.append(build)
            continue
        if not days or len(days[-1][1]) == repeats:
            events = int(execute(connection, "select count(*) from staging.stg_events")[0][0])
            days.append((events, [], sum(cost.wall for cost in builds)))
        days[-1][1].append(Cost(load.wall + build.wall, load.cpu + build.cpu, {"load": load.wall, **build.steps}))
    years = [_year(behind, costs, rebuild) for behind, costs, rebuild in days]
    seconds = sum(cost.wall for cost in loads)
    return {
        "bulk": {
            "rows": rows["bulk"],
            "rows_per_second": round(rows["bulk"] / seconds),
            "seconds": round(seconds, 2),
            "cpu_seconds": round(sum(cost.cpu for cost in loads), 2),
            "marts_seconds": round(sum(cost.wall for cost in builds), 2),
            "marts_cpu_seconds": round(sum(cost.cpu for cost in builds), 2),
        },
        "increment": {
            "events": max(1, shop.events // SHARE_OF_DAY),
            "seconds": years[-1]["seconds"],
            "cost_last_year_over_first": round(years[-1]["cpu_seconds"] / years[0]["cpu_seconds"], 3),
        },
        "years": years,
        "rows": {table: _count(connection, table) for table in ("raw.events", "raw.purchases", "marts.sessions")},
    }


def _year(behind: int, costs: Sequence[Cost], rebuild: float) -> dict[str, Any]:
    names = list(costs[0].steps)
    return {
        "events_behind": behind,
        "seconds": round(median(cost.wall for cost in costs), 3),
        "cpu_seconds": round(median(cost.cpu for cost in costs), 3),
        "rebuild_seconds": round(rebuild, 2),
        "steps": {name: round(median(cost.steps.get(name, 0.0) for cost in costs), 3) for name in names},
    }


def _load(connection: Connection, delivery: Delivery, loaded_at: datetime) -> tuple[int, Cost]:
    started, used = time.perf_counter(), time.process_time()
    rows = sum(
        append(connection, table, frame, load_id=f"synthetic/{delivery.last}/{table}", loaded_at=loaded_at)
        for table, frame in delivery.frames.items()
    )
    return rows, Cost(time.perf_counter() - started, time.process_time() - used)


def _build(connection: Connection, first: date, last: date) -> Cost:
    """The daily run over [first, last], with the wall seconds from the start of each step to that of the next."""
    begun: list[tuple[str, float]] = []

    def note(step: str) -> None:
        begun.append((step, time.perf_counter()))

    started, used = time.perf_counter(), time.process_time()
    run_range(connection, first, last, on_step=note)
    ended = time.perf_counter()
    ends = [*(moment for _, moment in begun[1:]), ended]
    steps = {name: end - moment for (name, moment), end in zip(begun, ends, strict=True)}
    return Cost(ended - started, time.process_time() - used, steps)


def _count(connection: Connection, table: str) -> int:
    return int(execute(connection, f"select count(*) from {table}")[0][0])  # noqa: S608 - names are above


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warehouse", description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=3_000_000, help="events of the whole history")
    parser.add_argument("--days", type=int, default=1095, help="days of the whole history")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=DAYS_MEASURED, help="days measured at the end of each third")
    parser.add_argument("--directory", type=Path, help="an empty folder for the database; it stays there")
    parser.add_argument("--out", type=Path, help="folder for the JSON, the page and the plots")
    return parser


if __name__ == "__main__":
    sys.exit(main())
