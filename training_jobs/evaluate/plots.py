"""The figures of a report: numbers with their intervals, readable names, and plots.

Our methods are drawn in colour, baselines in grey; as SVG inside a page (text stays text) and as PNG beside it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Methods = Mapping[str, Mapping[str, Mapping[str, Any]]]  # method -> stratum -> metric -> number

HYBRID: Final = "hybrid"
CHAMPION: Final = "champion"
STRATA: Final[Mapping[str, tuple[str, str]]] = {
    "all": ("All purchases", "every item a shopper bought in the test weeks"),
    "new": ("New to the shopper", "only items the shopper had never bought before"),
    "in_basket": ("Rest of the basket", "three items of a basket are shown, the rest are targets"),
    "cold_items": ("New arrivals", "items nobody had bought before the test weeks, ranked among all such items"),
    "cold_items_full": ("New arrivals in the full catalogue", "the same items, ranked among all items"),
    "cold_shoppers": ("Cold shoppers", "shoppers without purchases before the test weeks"),
}
METHODS: Final[Mapping[str, str]] = {
    HYBRID: "Hybrid (this bundle)",
    CHAMPION: "Champion (bundle in force)",
    "hybrid_no_session": "Hybrid without the visit",
    "two_tower": "Two-tower",
    "content": "Content (BERT)",
    "session_knn": "Session-kNN",
    "prior": "Prior in context",
    "popularity_in_category": "Popularity of the category",
    "session": "Session models",
    "cohorts": "12 cohorts (incumbent)",
    "own_frequency": "Own purchase frequency",
    "popular": "Popular",
    "popular_recent": "Popular, recent",
    "item_knn": "ItemKNN",
    "ials": "iALS",
}
COUNTS: Final = ("shoppers", "users", "baskets", "cases", "events")  # how much was measured, the same for every method
OURS: Final = frozenset({HYBRID, "hybrid_no_session", "two_tower", "content", "session"})
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


@dataclass(frozen=True, slots=True)
class Number:
    """A figure with its interval; without one, low and high equal the value."""

    value: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        """True where the interval has a width."""
        return self.high > self.low

    @property
    def text(self) -> str:
        """Whole numbers whole, shares with four digits."""
        return f"{self.value:,.0f}" if self.value == int(self.value) and abs(self.value) > 1 else f"{self.value:.4f}"

    @property
    def interval(self) -> str:
        """`.391 to .404`, or nothing."""
        return f"{self.low:.3f} to {self.high:.3f}" if self.has_interval else ""


def number(entry: Any) -> Number | None:
    """A number of the metrics, plain or with an interval; None for anything but a finite number."""
    value = entry.get("value") if isinstance(entry, Mapping) else entry
    interval = entry if isinstance(entry, Mapping) else {}
    parts = [value, interval.get("low", value), interval.get("high", value)]
    known = [
        float(part)
        for part in parts
        if isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part)
    ]
    return Number(*known) if len(known) == len(parts) else None


def numbers_of(methods: Methods, stratum: str, metric: str) -> dict[str, Number]:
    """The metric of each method that has it on the stratum."""
    found = {method: number(strata.get(stratum, {}).get(metric)) for method, strata in methods.items()}
    return {method: value for method, value in found.items() if value is not None}


def series_of(methods: Methods, steps: Sequence[str], metric: str) -> dict[str, list[Number]]:
    """The metric at all `steps`, of each method that has it everywhere."""
    columns = [numbers_of(methods, step, metric) for step in steps]
    return {method: [column[method] for column in columns] for method in methods if all(method in c for c in columns)}


def title(names: Mapping[str, str], name: str) -> str:
    """A readable name; unknown ones are shown as they are."""
    return names.get(name, name.replace("_", " "))


def strata_of(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The strata in any method, known ones first and in order."""
    found = {stratum: None for strata in methods.values() for stratum in strata}
    return sorted(found, key=lambda stratum: list(STRATA).index(stratum) if stratum in STRATA else len(STRATA))


def metrics_of(methods: Mapping[str, Mapping[str, Any]], stratum: str) -> list[str]:
    """The metrics in any method of a stratum, in order of first use; counts are none."""
    found = {
        metric: None
        for strata in methods.values()
        for metric, entry in strata.get(stratum, {}).items()
        if number(entry) is not None and metric not in COUNTS
    }
    return list(found)


def counts_of(methods: Mapping[str, Mapping[str, Any]], stratum: str) -> str:
    """The sample size of the stratum, such as `2,400 shoppers`."""
    figures: Mapping[str, Any] = next((strata[stratum] for strata in methods.values() if stratum in strata), {})
    known = {name: number(figures.get(name)) for name in COUNTS}
    return ", ".join(f"{count.value:,.0f} {name}" for name, count in known.items() if count)


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


@contextmanager
def canvas(height: float, width: float = 7.2) -> Iterator[tuple[Figure, Any]]:
    """A figure and its axes in the style of a report; sizes in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def bare(axes: Any, grid: Literal["x", "y", "both"]) -> None:
    """Remove all sides but the lowest and put a light grid behind the rest."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(axis=grid, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def bars(figures: Mapping[str, Number], *, names: Mapping[str, str] = METHODS, heading: str = "") -> Figure:
    """One horizontal bar a method, best on top, with its interval and value."""
    order = sorted(figures, key=lambda method: figures[method].value)
    with canvas(0.36 * len(order) + 0.5) as (figure, axes):
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
        bare(axes, "x")
    return figure


def lines(
    series: Mapping[str, Sequence[Number]],
    labels: Sequence[str],
    *,
    xlabel: str,
    names: Mapping[str, str] = METHODS,
) -> Figure:
    """Methods over an ordered axis, such as the number of events seen, with their intervals."""
    with canvas(3.3) as (figure, axes):
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
        bare(axes, "y")
    return figure


def curve(name: str, values: Sequence[float]) -> Figure:
    """One small training curve with its last value."""
    known = [(step, value) for step, value in enumerate(values) if math.isfinite(value)]
    with canvas(2.0, width=3.5) as (figure, axes):
        if known:
            steps, levels = zip(*known, strict=True)
            axes.plot(steps, levels, color=ACCENT, linewidth=1.6, marker="o" if len(known) < 12 else None, markersize=3)
            axes.annotate(
                f"{levels[-1]:.4g}", (steps[-1], levels[-1]), (4, 4), textcoords="offset points", color=ACCENT
            )
        axes.set_title(name.replace("_", " "), loc="left", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.12)
        bare(axes, "y")
    return figure
