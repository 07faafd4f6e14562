"""The plots of an experiment's report: traffic, lifts with intervals, evidence against the boundary, the split.

A variant has one colour and one marker on the whole page; the control is always amber. Days without data are gaps.
Letters: T days, K variants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from training_jobs.evaluate.plots import ACCENT, CHAMPION_COLOUR, INCUMBENT, INK, LINE, MUTED, SERIES, STYLE

COLOURS: Final = (INCUMBENT, ACCENT, CHAMPION_COLOUR, *(colour for colour in SERIES if colour != MUTED))
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
WARN: Final = "#b91c1c"
COLUMNS: Final = 4  # of small multiples


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One of several small plots: shares (T rows of K) by day; a row of None is a day without data."""

    name: str
    edges: Sequence[float]  # T + 1: when the first row began, and when each row ended
    rows: Sequence[Sequence[float] | None]


def colour_of(place: int) -> str:
    """The colour of the variant at this place of the configuration."""
    return COLOURS[place % len(COLOURS)]


def stacked(panels: Sequence[Panel], variants: Sequence[str], *, ylabel: str) -> Figure:
    """Small multiples of shares that sum to one, stacked in the order of the variants, control at the bottom."""
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6 if columns > 1 else 7.2, 1.75 * rows + 0.75), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for place, panel in enumerate(panels):
            _stack(grid[place // columns][place % columns], panel, len(variants))
        for place in range(len(panels), rows * columns):
            grid[place // columns][place % columns].set_axis_off()
        figure.supxlabel("day of the experiment", color=MUTED, fontsize=9)
        figure.supylabel(ylabel, color=MUTED, fontsize=9)
        _legend(figure, variants)
    return figure


def forest(
    rows: Mapping[str, Mapping[int, Estimate]],
    variants: Sequence[str],
    *,
    xlabel: str,
    emphasised: Sequence[str] = (),
    legend: bool = True,
) -> Figure:
    """Intervals by row (a placement, a segment), one colour a variant; the vertical line is no difference."""
    shown = sorted({place for entries in rows.values() for place in entries})
    with matplotlib.rc_context(STYLE):
        most = max((len(entries) for entries in rows.values()), default=1)
        height = (0.1 * most + 0.2) * len(rows) + 0.9
        figure = Figure(figsize=(7.6, max(height, 1.7)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=INK, linewidth=0.8)
        for line, entries in enumerate(rows.values()):
            for at, (place, found) in enumerate(entries.items()):
                _interval(axes, found, line + 0.2 * (at - (len(entries) - 1) / 2), place)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for label in axes.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() in emphasised else "normal")
        axes.xaxis.set_major_formatter(FuncFormatter(_percent))
        axes.set_xlabel(xlabel)
        _plain(axes, grid="x")
        if legend:
            _legend(figure, variants, only=shown)
    return figure


def losses(rows: Mapping[str, Sequence[float]], variants: Sequence[str], *, limit: float) -> Figure:
    """Expected loss of each variant by placement, and the limit below which `optimise` ships."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 0.3 * len(rows) + 1.2), layout="constrained")
        axes = figure.add_subplot()
        for line, values in enumerate(rows.values()):
            axes.plot([min(values), max(values)], [line, line], color=LINE, linewidth=1.6, zorder=1)
            for place, value in enumerate(values):
                axes.plot(value, line, MARKERS[place % len(MARKERS)], color=colour_of(place), markersize=6)
        axes.axvline(limit, color=WARN, linewidth=1, linestyle="--")
        axes.annotate(
            "limit of the rule optimise", (limit, 1), (3, 4), xycoords=("data", "axes fraction"),
            textcoords="offset points", color=WARN, fontsize=8,
        )  # fmt: skip
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=min(0.0, limit) - 0.0003)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.1f} %"))
        axes.set_xlabel("expected loss by choosing the variant, as a share of the clicks of the control")
        _plain(axes, grid="x")
        _legend(figure, variants)
    return figure


def evidence(
    days: Sequence[float],
    pooled: Sequence[Sequence[float] | None],  # (T, K - 1)
    placements: Mapping[str, Sequence[Sequence[float] | None]],  # of each (T, K - 1)
    boundary: Sequence[tuple[float, float]],  # (day, limit) of each decision look
    variants: Sequence[str],
) -> Figure:
    """z of each challenger over the days: placements thin, pooled thick; a look decides on and above the boundary."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.5), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, linewidth=0.8)
        for place in range(1, len(variants)):
            for series in placements.values():
                axes.plot(days, _column(series, place - 1), color=colour_of(place), linewidth=0.7, alpha=0.35)
            values = _column(pooled, place - 1)
            axes.plot(
                days, values, color=colour_of(place), linewidth=2.2, marker=MARKERS[place % len(MARKERS)], markersize=4
            )
        if boundary:
            at, limits = zip(*boundary, strict=True)
            axes.plot(at, limits, color=WARN, linewidth=1, marker="_", markersize=9, markeredgewidth=2.4, zorder=5)
            axes.annotate("boundary", (at[-1], limits[-1]), (5, 7), textcoords="offset points", color=WARN, ha="right")
        axes.set_xlim(left=0)
        axes.set_xlabel("day of the experiment")
        axes.set_ylabel("z against the control")
        _plain(axes, grid="y")
        _legend(figure, variants, only=range(1, len(variants)))
    return figure


def lift_over_days(
    days: Sequence[float],
    lasting: Sequence[Sequence[Sequence[float]]],  # (T, K - 1, 3)
    present: Sequence[Sequence[Sequence[float]] | None],  # (T, K - 1, 3)
    variants: Sequence[str],
) -> Figure:
    """The pooled lift that is to last with its interval, and dashed the one so far, as known at the end of each day."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.1), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, linewidth=0.8)
        for place in range(1, len(variants)):
            colour, marker = colour_of(place), MARKERS[place % len(MARKERS)]
            mean, low, high = zip(*(row[place - 1] for row in lasting), strict=True)
            so_far = [row[place - 1][0] if row else float("nan") for row in present]
            axes.fill_between(days, low, high, color=colour, alpha=0.14, linewidth=0)
            axes.plot(days, mean, color=colour, linewidth=2, marker=marker, markersize=4)
            axes.plot(days, so_far, color=colour, linewidth=1.2, linestyle="--")
        axes.set_xlim(left=0)
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        axes.set_xlabel("day of the experiment")
        axes.set_ylabel("pooled lift")
        _plain(axes, grid="y")
        _legend(figure, variants, only=range(1, len(variants)))
    return figure


def _stack(axes: Any, panel: Panel, count: int) -> None:
    if any(row is not None for row in panel.rows):
        below = [0.0] * len(panel.rows)
        for place in range(count):
            heights = _column(panel.rows, place)
            top = [low + height for low, height in zip(below, heights, strict=True)]
            axes.stairs(top, panel.edges, baseline=below, fill=True, color=colour_of(place), alpha=0.85, linewidth=0)
            below = [0.0 if math.isnan(level) else level for level in top]
    else:
        axes.annotate("no data", (0.5, 0.5), xycoords="axes fraction", ha="center", color=MUTED)
    axes.set_title(panel.name, loc="left", fontsize=8, color=INK)
    axes.set_ylim(0, 1)
    axes.margins(x=0)
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=panel.edges[-1] > 2))  # days of an hour's run are fractions
    axes.tick_params(labelsize=8)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _interval(axes: Any, found: Estimate, line: float, place: int) -> None:
    axes.plot([found.low, found.high], [line, line], color=colour_of(place), linewidth=1.8, solid_capstyle="butt")
    axes.plot(found.value, line, MARKERS[place % len(MARKERS)], color=colour_of(place), markersize=5)


def _column(rows: Sequence[Sequence[float] | None], place: int) -> list[float]:
    return [row[place] if row is not None else float("nan") for row in rows]


def _legend(figure: Figure, variants: Sequence[str], *, only: Sequence[int] | None = None) -> None:
    """One entry a variant, above the plot."""
    handles = [
        Line2D([], [], color=colour_of(place), marker=MARKERS[place % len(MARKERS)], linewidth=2, label=variants[place])
        for place in (range(len(variants)) if only is None else only)
    ]
    figure.legend(handles=handles, frameon=False, loc="outside upper left", ncols=len(handles), fontsize=9)


def _plain(axes: Any, *, grid: str) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis=grid, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def _percent(value: float, _: object = None) -> str:
    return f"{100 * value:+.3g} %" if abs(value) > 1e-9 else "0"  # ticks may stand at quarters of a per cent
