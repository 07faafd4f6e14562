"""What the warehouse door draws: a day's cost by the history behind it, beside building the marts anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import matplotlib
from matplotlib.figure import Figure

from benchmarks.report import Section
from training_jobs.evaluate.plots import ACCENT, BASELINE, LINE, STYLE

REACHED: Final = {True: "yes", False: "no", None: "not run at this size"}


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
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(behind, [year["rebuild_seconds"] for year in years], "o-", color=BASELINE, label="marts built anew")
        axes.plot(behind, [year["seconds"] for year in years], "o-", color=ACCENT, label="one day on top")
        axes.set_xlabel("million events behind")
        axes.set_ylabel("seconds")
        axes.set_yscale("log")
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.legend(frameon=False)
    return figure
