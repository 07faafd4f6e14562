"""The diagnosis as one HTML page that needs nothing beside itself, and as JSON: trends, volumes, what to do."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from recommender.errors import DependencyDown

from warehouse.day.doctor import Diagnosis, Point

PAGE: Final = "quality.html"
BODY: Final = "quality.json"
INK: Final = "#0f766e"
WRONG: Final = "#b91c1c"
MUTED: Final = "#7b8794"


def write_report(diagnosis: Diagnosis, folder: Path) -> Path:
    """Write quality.json and quality.html into `folder`; returns the page, which needs jinja2 and matplotlib."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BODY).write_text(json.dumps(diagnosis.to_body(), indent=2, sort_keys=True) + "\n")
    try:
        page = render(diagnosis)
    except ModuleNotFoundError as error:
        raise DependencyDown(
            f"{PAGE} needs {error.name}, which is not installed; {folder / BODY} is written", code="page_needs_packages"
        ) from error
    (folder / PAGE).write_text(page)
    return folder / PAGE


def render(diagnosis: Diagnosis) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    failed = {finding.name for finding in diagnosis.findings}
    trends = sorted(diagnosis.trends.items(), key=lambda entry: (entry[0] not in failed, entry[0]))
    return environment.get_template("doctor.html.j2").render(
        diagnosis=diagnosis,
        volumes=[(table, _volumes(days)) for table, days in diagnosis.volumes.items()],
        trends=[(name, name in failed, _trend(points)) for name, points in trends],
    )


def _volumes(days: Sequence[tuple[str, int]]) -> Any:
    figure, axes = _figure()
    axes.bar([day[5:] for day, _ in days], [rows for _, rows in days], color=INK, width=0.6)
    return _svg(figure)


def _trend(points: Sequence[Point]) -> Any:
    """The measured value by day over its limit; days on which nothing could be measured are left out."""
    figure, axes = _figure()
    measured = [point for point in points if point.value is not None]
    if measured:
        days = [point.day[5:] for point in measured]
        axes.plot(days, [point.value for point in measured], color=INK, linewidth=1.2)
        colours = [INK if point.passed else WRONG for point in measured]
        axes.scatter(days, [point.value for point in measured], c=colours, s=16, zorder=3)
        axes.plot(days, [point.allowed for point in measured], color=MUTED, linestyle="--", linewidth=1)
    else:
        axes.text(0.5, 0.5, "nothing to measure", ha="center", va="center", color=MUTED, transform=axes.transAxes)
    return _svg(figure)


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(3.4, 1.5), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=7, colors=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> Any:
    import matplotlib
    from markupsafe import Markup

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "quality"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return Markup(text[text.index("<svg") :])  # noqa: S704 - drawn here; no text of a shop is in it
