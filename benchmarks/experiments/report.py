"""The report of the experiments benchmark: decisions over time, false winners, power, and one table a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from benchmarks.report import Section
from training_jobs.evaluate.plots import ACCENT, BASELINE, INCUMBENT, INK, LINE, MEMBER, SERIES, bare, canvas

NAMES: Final = {
    "fixed": "Fixed 28 days",
    "peeking": "Fixed, peeking daily",
    "per_slot_thompson": "Thompson Sampling, each placement alone",
    "pooled": "Pooled (this product)",
    "pooled_whole_weeks": "Pooled, whole weeks only",
    "pooled_optimise": "Pooled, rule optimise",
}
COLOURS: Final = {
    "fixed": BASELINE,
    "peeking": INCUMBENT,
    "per_slot_thompson": SERIES[1],
    "pooled": ACCENT,
    "pooled_whole_weeks": MEMBER,
    "pooled_optimise": SERIES[0],
}
COLUMNS: Final = (
    ("median_days", "median days", 0),
    ("p90_days", "p90 days", 0),
    ("share_by_day_10", "by day 10", 3),
    ("correct", "correct", 3),
    ("ship", "ships a challenger", 3),
    ("ship_any", "in any placement", 3),
    ("harm", "harmful", 4),
    ("clicks_lost", "clicks lost", 4),
    ("exaggeration", "lift reported / true", 2),
)


def sections(result: Mapping[str, Any]) -> list[Section]:
    """Plots first, then a table for each scenario."""
    found = []
    decided = {name: days for name, days in result["days"].items() if name in ("lift_10", "lift_5", "null")}
    if decided:
        found.append(
            Section(
                "How long until a decision",
                "Share of placements that are decided by each day. Simulated.",
                plots={f"decided_{name}": _decided(name, days, result) for name, days in decided.items()},
            )
        )
    nulls = [name for name in result["scenarios"] if name.startswith("null") or name == "time_box_null"]
    if nulls:
        meaning = "Share of placements that ship a challenger although none is better. Simulated."
        found.append(Section("False winners", meaning, plots={"false_winners": _bars(result, nulls, "ship")}))
    return found + [_table(name, scenario) for name, scenario in result["scenarios"].items()]


def _methods(scenario: Mapping[str, Any]) -> list[str]:
    return [name for name in NAMES if name in scenario]


def _table(name: str, scenario: Mapping[str, Any]) -> Section:
    rows = [[NAMES[method], *(_cell(scenario[method], *column) for column in COLUMNS)] for method in _methods(scenario)]
    return Section(name.replace("_", " "), f"{scenario['meaning']}. Simulated.", ["", *(c[1] for c in COLUMNS)], rows)


def _cell(figures: Mapping[str, Any], metric: str, _title: str, digits: int) -> str:
    value = figures.get(metric)
    if value is None:
        return "–"
    ends = figures["intervals"].get(metric)
    return f"{value:.{digits}f}" + (f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]" if ends else "")


def _decided(name: str, days: Mapping[str, Sequence[float]], result: Mapping[str, Any]) -> Figure:
    with canvas(3.3) as (figure, axes):
        for method, shares in days.items():
            style = "-" if method.startswith("pooled") else "--"
            axes.step(range(1, 29), shares, where="post", color=COLOURS[method], label=NAMES[method], linestyle=style)
        axes.axvline(10, color=LINE, linewidth=1)
        axes.set_title(result["scenarios"][name]["meaning"], loc="left", color=INK)
        axes.set_xlabel("day")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(-0.02, 1.04)
        figure.legend(frameon=False, loc="outside right upper")
        bare(axes, "both")
    return figure


def _bars(result: Mapping[str, Any], names: Sequence[str], metric: str) -> Figure:
    with canvas(0.9 + 0.75 * len(names)) as (figure, axes):
        methods = list(dict.fromkeys(method for name in names for method in _methods(result["scenarios"][name])))
        height = 0.8 / len(methods)
        for place, method in enumerate(methods):
            known = [(at, result["scenarios"][name]) for at, name in enumerate(names)]
            rows = [(at, scenario[method]) for at, scenario in known if method in scenario]
            axes.barh(
                [at + place * height for at, _ in rows],
                [figures[metric] for _, figures in rows],
                height * 0.9,
                color=COLOURS[method],
                label=NAMES[method],
            )
        axes.axvline(0.03, color=INK, linewidth=1, linestyle=":")
        axes.set_yticks([at + 0.4 - height / 2 for at in range(len(names))], [name.replace("_", " ") for name in names])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        figure.legend(frameon=False, loc="outside right upper")
        bare(axes, "both")
    return figure
