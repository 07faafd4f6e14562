"""Renders the evaluation as one HTML page with everything inline: no script, no font, no network.

Reads metrics.json and curves.json of `evaluate`; a section without figures is left out. A number is a float or
{"value", "low", "high"}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from recommender.errors import ArtifactRefused

from training_jobs.evaluate import plots
from training_jobs.evaluate.plots import (
    HYBRID,
    METHODS,
    STRATA,
    Number,
    counts_of,
    metrics_of,
    number,
    numbers_of,
    series_of,
    strata_of,
    title,
)
from training_jobs.gate import METRIC, judge

REPORT: Final = "report.html"
GATE_TOLERANCE: Final = 0.05
PROVENANCE: Final = ("data_hash", "code_hash", "git_commit", "seed", "seconds", "versions")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of the table, and whether it is the best of its column."""

    number: Number | None
    is_best: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A method's line of a table."""

    method: str
    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Stratum:
    """A table and its plot."""

    name: str
    meaning: str
    counts: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    plot: Markup | None


def write_report(metrics: Mapping[str, Any], curves: Mapping[str, Any], out: Path) -> Path:
    """Write `report.html` into the folder `out` and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / REPORT
    path.write_text(render(metrics, curves), encoding="utf-8")
    return path


def render(metrics: Mapping[str, Any], curves: Mapping[str, Any]) -> str:
    """The page as text."""
    methods: Mapping[str, Mapping[str, Any]] = metrics["methods"]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            strata=[stratum_table(methods, stratum) for stratum in strata_of(methods)],
            headline=headline(methods),
            gate=gate_of(metrics),
            metric=METRIC,
            by_events=events_plots(metrics.get("by_events", {})),
            coverage=coverage_plot(methods),
            curves=curve_plots(curves),
            window=metrics.get("window", {}),
            derived=metrics.get("derived", []),
            notes=metrics.get("notes", []),
            parity=metrics.get("onnx_parity", {}),
            provenance={name: metrics[name] for name in PROVENANCE if name in metrics},
        )
    )


def templates(*folders: Path) -> Environment:
    """The layout and parts of every report, and the templates of `folders`."""
    loader = FileSystemLoader([Path(__file__).parent, *folders])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def stratum_table(
    methods: Mapping[str, Mapping[str, Any]],
    stratum: str,
    *,
    labels: Mapping[str, str] = METHODS,
    meanings: Mapping[str, tuple[str, str]] = STRATA,
) -> Stratum:
    """Methods by metrics, best on top; a method that was not measured on the stratum is absent."""
    names = metrics_of(methods, stratum)
    measured = {name: strata[stratum] for name, strata in methods.items() if stratum in strata}
    numbers = {name: [number(figures.get(metric)) for metric in names] for name, figures in measured.items()}
    columns = list(zip(*numbers.values(), strict=True))
    best = [_best([cell.value for cell in column if cell]) for column in columns]
    rows = [
        Row(
            name,
            title(labels, name),
            tuple(Cell(cell, bool(cell and cell.value == best[place])) for place, cell in enumerate(row)),
        )
        for name, row in numbers.items()
    ]
    rows.sort(key=lambda row: -(row.cells[0].number.value if row.cells and row.cells[0].number else -1.0))
    readable, meaning = meanings.get(stratum, (stratum.replace("_", " ").capitalize(), ""))
    primary = {row.method: row.cells[0].number for row in rows if row.cells and row.cells[0].number}
    plot = Markup(plots.svg(plots.bars(primary, names=labels))) if primary else None  # noqa: S704 - our own SVG
    return Stratum(readable, meaning, counts_of(methods, stratum), tuple(names), tuple(rows), plot)


def _best(values: Sequence[float]) -> float | None:
    """The highest value; none where all are equal."""
    return max(values) if len(set(values)) > 1 else None


def headline(methods: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(figure, meaning) for the top of the page."""
    values = {name: number(strata.get("all", {}).get(METRIC)) for name, strata in methods.items()}
    own = values.get(HYBRID)
    if own is None:
        return []
    found = [(f"{own.value:.3f}", f"{METRIC} of the hybrid, all purchases")]
    for name, words in (("cohorts", "of the 12 cohorts in force today"), ("popular", "of plain popularity")):
        other = values.get(name)
        if other and other.value > 0:
            found.append((f"{own.value / other.value:.1f} ×", words))
    new = number(methods[HYBRID].get("new", {}).get(METRIC))
    if new:
        found.append((f"{new.value:.3f}", f"{METRIC} for items new to the shopper"))
    return found


def gate_of(metrics: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The verdict of the metrics, or the one that these figures would get; None where they do not suffice."""
    if "gate" in metrics:
        verdict: Mapping[str, Any] = metrics["gate"]
        return verdict
    try:
        return judge(metrics, None, tolerance=GATE_TOLERANCE)
    except ArtifactRefused:
        return None


def events_plots(by_events: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[tuple[str, Markup]]:
    """One plot a metric: quality by how many events of the visit were seen, from the first pageview on."""
    steps = list(dict.fromkeys(step for levels in by_events.values() for step in levels))
    names = dict.fromkeys(m for levels in by_events.values() for figures in levels.values() for m in figures)
    made = []
    for metric in names:
        if series := series_of(by_events, steps, metric):
            plot = plots.lines(series, steps, xlabel="events of the visit seen so far (0 is the first pageview)")
            made.append((metric, Markup(plots.svg(plot))))  # noqa: S704 - our own SVG
    return made


def coverage_plot(methods: Mapping[str, Mapping[str, Any]]) -> Markup | None:
    """The share of the catalogue that each method shows to anyone."""
    known = numbers_of(methods, "all", "coverage")
    return Markup(plots.svg(plots.bars(known))) if known else None  # noqa: S704 - our own SVG


def curve_plots(curves: Mapping[str, Any]) -> list[tuple[str, list[Markup]]]:
    """(job, its plots) for each job with curves of at least two points."""
    found = []
    for job, series in curves.items():
        drawn = [
            Markup(plots.svg(plots.curve(name, [float(value) for value in values])))  # noqa: S704 - our own SVG
            for name, values in series.items()
            if isinstance(values, Sequence) and len(values) > 1
        ]
        if drawn:
            found.append((job, drawn))
    return found
