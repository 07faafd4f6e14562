"""The verdict of an experiment: its decisions, its estimates, the evidence by day, and the best variant.

Nothing is computed here beyond the report. A section without data is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from local.experiment_report import plots
from local.experiment_report.plots import Panel
from local.experiment_report.values import (
    LIFT,
    POOLED,
    Picture,
    Report,
    Section,
    count,
    days_text,
    edges_of,
    estimates_of,
    lift_text,
    plain,
    share,
)


def decisions(report: Report) -> Section:
    """List the variant that each placement serves, and the evidence of its decision."""
    decision = report["decision"]
    rows = [
        (
            placement,
            DECIDED[entry["status"]],
            entry["variant"] or "–",
            "by hand" if entry["by"] == "operator" else days_text(entry["day"]),
            plain(entry["z"]),
            plain(entry["boundary"]),
            lift_text(entry),
        )
        for placement, entry in decision["placements"].items()
    ]
    ahead = decision["next_look_day"]
    meaning = (
        f"Rule {decision['rule']}, decided {_looks(decision['look_days'])}"
        f"{f'; the next is day {days_text(ahead)}' if ahead is not None else ''}. "
        "Figures are those of the look that decided."
    )
    columns = ("Placement", "decision", "serves", "on day", "z", "boundary", "lift at that look")
    return Section("Decisions so far", meaning, (), columns, rows)


DECIDED: Final = {
    "ship": "shipped",
    "keep_control": "control kept",
    "killed": "killed: control serves",
    "undecided": "undecided",
}


def estimates(report: Report) -> Iterator[Section]:
    """The posterior of each placement and of all, as of now."""
    if not report["clicks"]:
        return
    variants, rows = report["variants"], {POOLED: estimates_of(report["pooled"]["variants"])}
    rows |= {entry["placement"]: estimates_of(entry["variants"]) for entry in report["placements"]}
    figure = plots.forest(rows, variants, xlabel=f"lift over {report['control']}", emphasised=(POOLED,))
    alt = f"Lift over {report['control']} with 95 % posterior intervals. " + " ".join(
        f"{entry['variant']} in {POOLED}: {lift_text(entry)}." for entry in report["pooled"]["variants"][1:]
    )
    table = [
        (
            entry["placement"],
            row["variant"],
            count(row["exposures"]),
            count(row["clicks"]),
            share(row["click_rate"], 2),
            lift_text(row, name="present") if k else "–",
            lift_text(row) if k else "–",
            share(row["probability_best"]),
            share(row["expected_loss"], 2),
            share(row["weight"]),
        )
        for entry in report["placements"]
        for k, row in enumerate(entry["variants"])
    ]
    meaning = (
        "The lift that is to last, as of now: posterior median and 95 % interval, in each placement and pooled. "
        "Estimates are drawn towards each other as far as placements agree, and towards no difference."
    )
    columns = (
        "Placement",
        "variant",
        "exposures",
        "clicks",
        "rate",
        "lift so far",
        "lasting",
        "P(best)",
        "loss",
        "traffic",
    )
    yield Section("What the variants do", meaning, (Picture("lifts", alt, figure),), columns, table, is_folded=True)


def course(report: Report) -> Iterator[Section]:
    """Draw the evidence over time, against the boundary."""
    looks = [row for row in report["history"] if row["pooled_lifts"]]
    if not looks:
        return
    variants, days = report["variants"], [row["day"] for row in looks]
    lasting, present = ([row[name] for row in looks] for name in ("pooled_lifts", "present_lifts"))
    lifts = plots.lift_over_days(days, lasting, present, variants)
    alt = "Pooled lift that is to last with its interval, and the lift so far, at the end of each day; the table below."
    pictures = [Picture("lift_over_days", alt, lifts)]
    if any(row["pooled_z"] for row in looks):
        decision = report["decision"]
        boundary = (
            list(zip(decision["look_days"], decision["boundaries"], strict=True)) if decision["boundaries"] else []
        )
        by_placement = {
            entry["placement"]: [row["placements"][entry["placement"]]["z"] for row in looks]
            for entry in report["placements"]
        }
        figure = plots.evidence(days, [row["pooled_z"] for row in looks], by_placement, boundary, variants)
        alt = "z of each challenger by day, pooled and by placement, against the boundary of the decision looks."
        pictures.insert(0, Picture("evidence", alt, figure))
    table = [
        (
            days_text(row["day"]),
            *(lift_text(dict(zip(LIFT, lift, strict=True))) for lift in row["pooled_lifts"]),
            *(plain(z) for z in row["pooled_z"] or ["–"] * (len(variants) - 1)),
            plain(row["boundary"]),
        )
        for row in looks
    ]
    challengers = variants[1:]
    columns = ("Day", *(f"lift {name}" for name in challengers), *(f"z {name}" for name in challengers), "boundary")
    meaning = (
        "Thick: all placements pooled. Thin: single placements. A challenger ships in a placement whose z lies on or "
        "over the boundary at a look, a red mark; between looks the lines decide nothing. Below: the lift that is to "
        "last, and dashed the lift so far, which first days and weekdays may favour."
    )
    yield Section("Evidence by day", meaning, pictures, columns, table, is_folded=True)


def choice(report: Report) -> Iterator[Section]:
    """P(best) by day and the expected loss as of now."""
    if not report["clicks"]:
        return
    variants, rows = report["variants"], report["history"]
    names = [entry["placement"] for entry in report["placements"]]
    limit = report["decision"]["expected_loss_limit"]
    losses = {entry["placement"]: [v["expected_loss"] for v in entry["variants"]] for entry in report["placements"]}
    pictures = [
        Picture(
            "expected_loss",
            "Expected share of clicks lost by choosing each variant, by placement; the table above holds the figures.",
            plots.losses(losses, variants, limit=limit),
        )
    ]
    looks = [row for row in rows if any(row["placements"][name]["probability_best"] for name in names)]
    if looks:
        edges = edges_of(looks)
        panels = [Panel(name, edges, [row["placements"][name]["probability_best"] for row in looks]) for name in names]
        alt = "Probability of being the best variant, by day, in each placement."
        pictures.insert(0, Picture("probability_best", alt, plots.stacked(panels, variants, ylabel="P(best)")))
    meaning = (
        "How likely each variant is the best of all, and what choosing it would cost in expectation. The first is no "
        "error rate: it may pass 95 % by chance when it is read every day."
    )
    yield Section("Which one to choose", meaning, pictures)


def _looks(days: Sequence[float]) -> str:
    """The registered days in words."""
    if len(days) > 2 and all(later - day == 1 for day, later in pairwise(days)):
        return f"on every day from {days_text(days[0])} to {days_text(days[-1])}"
    return f"on day {', '.join(days_text(day) for day in days)}"
