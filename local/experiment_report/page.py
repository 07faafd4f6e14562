"""One page that needs nothing beside itself: claims first, then plots with the same figures as tables.

Decisions: docs/decisions/experiments-report.md (138).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from markupsafe import Markup
from recommender.contracts.folders import REPORT, claim
from recommender.errors import Conflict

from local.experiment_report.context_sections import guardrails, holdout, segments, split, traffic
from local.experiment_report.values import Report, Section, count, days_text
from local.experiment_report.verdict import choice, course, decisions, estimates
from local.settings import LocalRunError
from training_jobs.evaluate.plots import png, svg
from training_jobs.evaluate.report import templates

PAGE: Final = "report.html"
DATA: Final = "report.json"
FACTS: Final = (
    "experiment_id", "version", "status", "mode", "control", "variants", "started_at", "epoch", "floor_share",
    "holdout_share", "killed",
)  # fmt: skip


def write(report: Report, out: Path) -> Path:
    """Write report.json, report.html and the plots as PNG into the folder; returns the page.

    Raises LocalRunError where the folder is somebody's own.
    """
    made = list(sections(report))
    page = render(report, made)
    try:
        claim(out, REPORT)
    except Conflict as error:
        raise LocalRunError(f"{error.detail}.") from error
    (out / DATA).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / PAGE).write_text(page, encoding="utf-8")
    for section in made:
        for picture in section.pictures:
            png(picture.figure, out / f"{picture.name}.png")
    return out / PAGE


def sections(report: Report) -> Iterator[Section]:
    """Every section that the report has data for, in the order of reading."""
    yield decisions(report)
    for part in (estimates, course, choice, traffic, holdout, segments, guardrails, split):
        yield from part(report)


def render(report: Report, made: list[Section]) -> str:
    """The page as text."""
    drawn = [
        (section, [(picture, Markup(svg(picture.figure))) for picture in section.pictures])  # noqa: S704 - our own SVG
        for section in made
    ]
    return (
        templates(Path(__file__).parent)
        .get_template("experiment.html.j2")
        .render(report=report, sections=drawn, figures=_figures(report), facts=_facts(report))
    )


def _figures(report: Report) -> list[tuple[str, str]]:
    """(figure, what it is) for the top of the page."""
    placements = report["decision"]["placements"]
    decided = sum(entry["status"] != "undecided" for entry in placements.values())
    return [
        (days_text(report["days"]), "days so far"),
        (count(report["exposures"]), "exposures"),
        (count(report["clicks"]), "clicks"),
        (f"{decided} of {len(placements)}", "placements decided"),
    ]


def _facts(report: Report) -> list[tuple[str, str]]:
    found = [(name, report[name]) for name in FACTS]
    return [
        (name.replace("_", " "), ", ".join(value) if isinstance(value, list) else str(value))
        for name, value in found
        if value not in ("", [], None)
    ]
