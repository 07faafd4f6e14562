"""The JSON and the plots of the off-policy benchmark: estimates with intervals, refused ones marked on both."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from matplotlib.figure import Figure
from recommender.domain.experiments.evidence.off_policy import METHODS, Evaluation

from benchmarks.report import Section
from training_jobs.evaluate.plots import ACCENT, BASELINE, INK, MUTED, bare, canvas

PLACES: Final = 7  # a click rate of 0.4 % needs more than other benchmarks
HEIGHT: Final = 0.24  # inches a line of a plot


def as_json(found: Evaluation, *, truth: float | None = None) -> dict[str, Any]:
    """An evaluation as the benchmark prints it; null for anything but a number."""
    estimates: dict[str, Any] = {}
    for method, estimate in found.estimates.items():
        estimates[method] = {
            "value": rounded(estimate.value),
            "low": rounded(estimate.low),
            "high": rounded(estimate.high),
        }
        if truth and math.isfinite(estimate.value):
            estimates[method]["relative_error"] = rounded(abs(estimate.value / truth - 1.0))
    return {
        **estimates,
        "effective_sample_size": round(found.effective_sample_size, 2),
        "max_weight": round(found.max_weight, 3),
        "mean_weight": round(found.mean_weight, 4),
        "refused": found.refused,
        "reason": found.refusal,
    }


def rounded(value: float) -> float | None:
    """The value as JSON holds it; null for anything but a finite number."""
    return round(value, PLACES) if math.isfinite(value) else None


def sections(result: Mapping[str, Any]) -> list[Section]:
    """A plot and a table for each campaign and each experiment of the exposure log."""
    found = []
    for name, directions in result.get("campaigns", {}).items():
        meaning = f"Campaign {name}. The dark line is the click rate of the target's own log; hatched: refused."
        found.append(_section(f"campaign_{name}", f"Campaign {name}", meaning, directions))
    for experiment, variants in result.get("exposures", {}).get("experiments", {}).items():
        pooled = {f"always {variant}": places["pooled"] for variant, places in variants.items()}
        meaning = "Clicks an exposure if everybody had been served one variant, all placements; hatched: refused."
        file = re.sub(r"[^\w-]", "_", f"exposures_{experiment}")
        found.append(_section(file, f"Experiment {experiment}", meaning, pooled))
    return found


def _section(file: str, title: str, meaning: str, entries: Mapping[str, Mapping[str, Any]]) -> Section:
    columns = ("question", "method", "value", "95 % interval", "effective rows", "largest weight", "")
    return Section(title, meaning, columns, list(_rows(entries)), {file: _plot(entries)})


def _rows(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for name, entry in entries.items():
        for method in (method for method in METHODS if method in entry):
            yield (
                name.replace("_", " "),
                method.upper(),
                _text(entry[method]["value"]),
                f"{_text(entry[method]['low'])} to {_text(entry[method]['high'])}",
                f"{entry['effective_sample_size']:,.0f}",
                f"{entry['max_weight']:,.1f}",
                "refused" if entry["refused"] else "",
            )


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}"


def _plot(entries: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A bar an estimate, a block an entry, intervals as lines; refused estimates hatched and grey."""
    bars = [(name, method) for name, entry in entries.items() for method in METHODS if method in entry]
    with canvas(HEIGHT * len(bars) + 0.7) as (figure, axes):
        for place, (name, method) in enumerate(reversed(bars)):
            entry = entries[name]
            _bar(axes, place, entry[method], is_refused=entry["refused"])
            if entry.get("on_policy") is not None:
                axes.plot([entry["on_policy"]] * 2, [place - 0.5, place + 0.5], color=INK, linewidth=2)
        labels = [f"{name.replace('_', ' ')}   {method.upper()}" for name, method in reversed(bars)]
        axes.set_yticks(range(len(bars)), labels)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("clicks a row")
        axes.set_xlim(*_limits(entries))
        bare(axes, "x")
    return figure


def _bar(axes: Any, place: int, estimate: Mapping[str, Any], *, is_refused: bool) -> None:
    if estimate["value"] is None:
        return
    look: dict[str, Any] = (
        {"facecolor": "white", "edgecolor": BASELINE, "hatch": "////"} if is_refused else {"color": ACCENT}
    )
    axes.barh(place, estimate["value"], height=0.6, **look)
    if estimate["low"] is not None:
        ends = [estimate["low"], estimate["high"]]
        axes.plot(ends, [place, place], color=MUTED if is_refused else INK, linewidth=1.1, solid_capstyle="butt")


def _limits(entries: Mapping[str, Mapping[str, Any]]) -> tuple[float, float]:
    """The range of the estimates that stand, if any do; refused ones may leave it."""
    standing = [entry for entry in entries.values() if not entry["refused"]] or list(entries.values())
    ends = [
        entry[method][end] or 0.0
        for entry in standing
        for method in METHODS
        if method in entry
        for end in ("low", "high")
    ]
    return min(0.0, *ends), 1.1 * max(ends) or 1.0
