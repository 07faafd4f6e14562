"""Warehouse benchmark: the speed of loading a history, and the cost of a day by the years behind it.

    recommender bench warehouse [--events N] [--days D] [--seed S] [--out DIR] [--directory DIR]

Writes a synthetic history through the product's loader (PUT, COPY) in parts of some half a million events, builds the
marts of each with the daily run, and at the end of each third of the time runs three days of N/300 events. Progress
goes to stderr; the last line of stdout is one JSON object. The plots show a day's cost beside building the marts anew.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from recommender.contracts.fields import problem

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.report import Section
from benchmarks.warehouse.runs import DAYS_MEASURED, SHARE_OF_DAY, THIRDS, measure
from training_jobs.evaluate.plots import ACCENT, BASELINE, LINE, canvas
from warehouse.connect import LOCAL_MEMORY, LOCAL_THREADS, open_local
from warehouse.engine.schema import create_layers
from warehouse.sources.synthetic_shop import Shop, sized

REACHED: Final = {True: "yes", False: "no", None: "not run at this size"}
PROTOCOL: Final = {
    "bulk": "rows of all raw tables a second of wall clock through Parquet, PUT and COPY; without generating them",
    "events_per_second": "of these rows only the events, over the same seconds",
    "marts": "the daily run over a part at a time, all staging and mart steps and checks, in seconds",
    "increment": "load and run of one day of events/300 rows; median of three days in a row at the end of each third",
    "steps": "seconds from the start of a step to that of the next; the checks and the commit are steps of their own",
    "last_over_first": "such a day at the end over one after the first third, in CPU seconds and in wall clock",
    "rebuild": "marts of everything up to then, summed over the parts: what a day costs where marts are built anew",
    "memory": "the most this process ever held: the engine, which runs in it, and the generator of the history",
    "limits": "claims without signed tokens; every event is marked derived, so refunds change no order; the embedded "
    "engine, not Snowflake",
}
ASKED_EVENTS: Final = 30_000_000
ASKED_DAYS: Final = 1095


def sections(result: Mapping[str, Any]) -> list[Section]:
    """Targets, the bulk load, a day by history, the steps of that day, and the rows."""
    years = result["years"]
    kept = {**result["bulk"], "database_mb": result["database_mb"], "peak_memory_mb": result["peak_memory_mb"]}
    loaded = [(name.replace("_", " "), _figure(value)) for name, value in kept.items()]
    judged = [
        (
            line["figure"],
            f"{'≤' if line['at_most'] else '≥'} {_figure(line['asked'])}",
            _figure(line["measured"]),
            REACHED[line["reached"]],
        )
        for line in result["targets"]
    ]
    days = [
        (
            f"{year['events_behind']:,}",
            *(f"{year[name]:,.2f}" for name in ("seconds", "cpu_seconds", "rebuild_seconds")),
        )
        for year in years
    ]
    steps = [(name, *(f"{year['steps'].get(name, 0.0):.3f}" for year in years)) for name in years[0]["steps"]]
    head = [f"{year['events_behind']:,} behind" for year in years]
    return [
        Section(
            "Targets", "Asked at 30 million events over three years.", ("", "asked", "measured", "reached"), judged
        ),
        Section("Bulk", "All raw tables through Parquet, PUT and COPY; then the marts of each part.", ("", ""), loaded),
        Section(
            "A day by the history behind it",
            f"Load and run of {result['increment']['events']:,} events, against building the marts anew.",
            ("events behind", "seconds", "CPU seconds", "marts anew, seconds"),
            days,
            {"day_by_history": _plot(years)},
        ),
        Section(
            "Steps of such a day",
            "Seconds of wall clock, median of the days.",
            ("step", *head),
            steps,
        ),
        Section(
            "Rows", "At the end.", ("table", "rows"), [(name, f"{rows:,}") for name, rows in result["rows"].items()]
        ),
    ]


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _plot(years: list[Mapping[str, Any]]) -> Figure:
    behind = [year["events_behind"] / 1e6 for year in years]
    with canvas(2.6) as (figure, axes):
        axes.plot(behind, [year["rebuild_seconds"] for year in years], "o-", color=BASELINE, label="marts built anew")
        axes.plot(behind, [year["seconds"] for year in years], "o-", color=ACCENT, label="one day on top")
        axes.set_xlabel("million events behind")
        axes.set_ylabel("seconds")
        axes.set_yscale("log")
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.legend(frameon=False)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    return cli.answer(lambda: run(options), options.out, sections=sections)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Load, build and measure in `--directory`, or in a folder that is removed afterwards. Raises InvalidInput."""
    least = THIRDS * (options.repeats + 1)
    if options.events < SHARE_OF_DAY or options.days < least:
        raise problem(
            "--events, --days", (options.events, options.days), f"at least {SHARE_OF_DAY} events and {least} days"
        )
    shop = sized(options.events, options.days, seed=options.seed, lists_per_session=options.lists)
    load = round(os.getloadavg()[0], 1)  # what else the machine did: on a quiet one nearly 0
    with tempfile.TemporaryDirectory() as folder:
        directory = options.directory or Path(folder)
        with open_local(directory) as warehouse:
            create_layers(warehouse.connection)
            measured = measure(warehouse.connection, shop, options.repeats)
        size = sum(path.stat().st_size for path in directory.glob("*.db*"))
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {
        "benchmark": "warehouse",
        "label": "synthetic history, embedded engine",
        "protocol": PROTOCOL,
        "targets": targets(measured, peak, shop),
        "seeds": [shop.seed],
        "data": {
            "name": "synthetic_history",
            **{name: getattr(shop, name) for name in ("events", "days", "shoppers", "items", "lists_per_session")},
        },
        **measured,
        "database_mb": round(size / 1e6),
        "peak_memory_mb": peak,
        "engine": {"memory_limit": LOCAL_MEMORY, "threads": LOCAL_THREADS},
        "load_average_before": load,
        "machine": describe_machine(),
    }


def targets(measured: Mapping[str, Any], peak: int, shop: Shop) -> list[dict[str, Any]]:
    """A line a target: figure, asked, measured, and whether it is reached; None where the run was smaller."""
    is_asked_size = shop.events >= ASKED_EVENTS and shop.days >= ASKED_DAYS
    increment = measured["increment"]
    slowest = max(year["seconds"] for year in measured["years"])
    lines = [
        ("bulk load, events a second", 300_000, measured["bulk"]["events_per_second"], False),
        (f"a day of {increment['events']:,} events, seconds", 60, slowest, True),
        ("such a day, last year over first, CPU", 1.5, increment["cpu_last_over_first"], True),
        ("such a day, last year over first, wall clock", 1.5, increment["wall_last_over_first"], True),
        ("peak memory, MiB", 6 * 1024, peak, True),
    ]
    return [
        {
            "figure": figure,
            "asked": asked,
            "at_most": at_most,
            "measured": found,
            "reached": (found <= asked if at_most else found >= asked) if is_asked_size else None,
        }
        for figure, asked, found, at_most in lines
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench warehouse", description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=3_000_000, help="events of the whole history")
    parser.add_argument("--days", type=int, default=ASKED_DAYS, help="days of the whole history")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lists", type=float, default=1.0, help="recommended lists in view of a session, at most 4")
    parser.add_argument("--repeats", type=int, default=DAYS_MEASURED, help="days measured at the end of each third")
    parser.add_argument("--directory", type=Path, help="an empty folder for the database; it stays there")
    parser.add_argument("--out", type=Path, help="folder for the JSON, the page and the plots")
    return parser


if __name__ == "__main__":
    sys.exit(main())
