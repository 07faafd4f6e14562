"""Plots of the next-item benchmark: every method, quality by number of events, and the encoder's loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

STRATA = ("events_1", "events_2", "events_3", "events_4plus")
SHOWN = ("hybrid", "session_encoder", "vstan", "item_knn", "markov")


def draw(result: dict[str, Any], folder: Path) -> None:
    """Write methods.png, events.png and loss.png."""
    _methods(result["methods"]).savefig(folder / "methods.png", dpi=120)
    _events(result["methods"]).savefig(folder / "events.png", dpi=120)
    _loss(result["chosen_on_tail"]).savefig(folder / "loss.png", dpi=120)


def _methods(methods: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 4), layout="constrained")
    names = sorted((name for name in methods if "all" in methods[name]), key=lambda name: methods[name]["all"]["hr@20"])
    for axes, metric in zip(figure.subplots(1, 2), ("hr@20", "mrr@20"), strict=True):
        bars = axes.barh(names, [methods[name]["all"][metric] for name in names])
        axes.bar_label(bars, fmt="%.3f", padding=2)
        axes.set_title(f"{metric}, all prefixes")
        axes.margins(x=0.2)
    return figure


def _events(methods: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in SHOWN:
        seen = [(stratum, methods[name][stratum]["hr@20"]) for stratum in STRATA if stratum in methods[name]]
        axes.plot(
            [stratum.removeprefix("events_") for stratum, _ in seen], [value for _, value in seen], "o-", label=name
        )
    axes.set(xlabel="events so far", ylabel="hr@20", title="Quality as the visit grows")
    axes.legend()
    return figure


def _loss(runs: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(runs, start=1):
        axes.plot([step for step, _ in run["curve"]], [loss for _, loss in run["curve"]], label=f"run {number}")
    axes.set(xlabel="step", ylabel="sampled-softmax loss", title="Session encoder")
    return figure
