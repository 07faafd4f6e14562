"""The plots of a report: ours in colour, baselines in grey; SVG inside a page (text stays text), PNG beside it."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training_jobs.evaluate.figures import CHAMPION, HYBRID, METHODS, OURS, Number, title

INK: Final = "#1f2933"
MUTED: Final = "#7b8794"
LINE: Final = "#e4e7eb"
ACCENT: Final = "#0f766e"
MEMBER: Final = "#7fb5af"
BASELINE: Final = "#b8c1cc"
INCUMBENT: Final = "#d97706"
CHAMPION_COLOUR: Final = "#6d5bd0"
SERIES: Final = (
    "#be4b6b",
    "#3b82c4",
    MUTED,
    "#8a6d3b",
    "#5b8c2a",
    BASELINE,
)  # of methods without a colour of their own
STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "axes.titlesize": 10,
}


def method_colour(method: str) -> str:
    """Ours in greens, the incumbent and the champion in colours of their own, others grey."""
    own = {HYBRID: ACCENT, CHAMPION: CHAMPION_COLOUR, "cohorts": INCUMBENT}
    return own.get(method, MEMBER if method in OURS else BASELINE)


def svg(figure: Figure) -> str:
    """A drawing as text that a page can hold."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def png(figure: Figure, path: Path) -> None:
    """A drawing as a picture."""
    figure.savefig(path, dpi=144, facecolor="white")


def bars(figures: Mapping[str, Number], *, names: Mapping[str, str] = METHODS, heading: str = "") -> Figure:
    """One horizontal bar a method, best on top, with its interval and value."""
    order = sorted(figures, key=lambda method: figures[method].value)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.36 * len(order) + 0.5), layout="constrained")
        axes = figure.add_subplot()
        for place, method in enumerate(order):
            found = figures[method]
            axes.barh(place, found.value, height=0.62, color=method_colour(method))
            if found.has_interval:
                axes.plot([found.low, found.high], [place, place], color=INK, linewidth=1.1, solid_capstyle="butt")
            axes.annotate(
                f"{found.value:.3f}",
                (max(found.high, found.value), place),
                (6, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_yticks(range(len(order)), [title(names, method) for method in order])
        axes.tick_params(axis="y", length=0)
        axes.set_title(heading, loc="left", color=INK)
        axes.set_xlim(0, max((found.high for found in figures.values()), default=1.0) * 1.14 or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _plain(axes, grid="x")
    return figure


def lines(
    series: Mapping[str, Sequence[Number]],
    labels: Sequence[str],
    *,
    xlabel: str,
    names: Mapping[str, str] = METHODS,
) -> Figure:
    """Methods over an ordered axis, such as the number of events seen, with their intervals."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.3), layout="constrained")
        axes = figure.add_subplot()
        for place, (method, numbers) in enumerate(series.items()):
            colour = method_colour(method) if method in (HYBRID, "cohorts", CHAMPION) else SERIES[place % len(SERIES)]
            values = [entry.value for entry in numbers]
            xs = range(len(values))
            axes.plot(xs, values, color=colour, linewidth=2, marker="o", markersize=4, label=title(names, method))
            axes.fill_between(
                xs, [n.low for n in numbers], [n.high for n in numbers], color=colour, alpha=0.13, linewidth=0
            )
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlabel(xlabel)
        axes.set_ylim(bottom=0)
        figure.legend(frameon=False, loc="outside right upper")
        _plain(axes, grid="y")
    return figure


def curve(name: str, values: Sequence[float], colour: str = ACCENT) -> Figure:
    """One small training curve with its last value."""
    known = [(step, value) for step, value in enumerate(values) if math.isfinite(value)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.5, 2.0), layout="constrained")
        axes = figure.add_subplot()
        if known:
            steps, levels = zip(*known, strict=True)
            axes.plot(steps, levels, color=colour, linewidth=1.6, marker="o" if len(known) < 12 else None, markersize=3)
            axes.annotate(
                f"{levels[-1]:.4g}", (steps[-1], levels[-1]), (4, 4), textcoords="offset points", color=colour
            )
        axes.set_title(name.replace("_", " "), loc="left", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.12)
        _plain(axes, grid="y")
    return figure


def _plain(axes: Any, *, grid: str) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(axis=grid, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
