"""Context of the verdict: traffic, the hold-out, segments, guardrails, and the check of the split.

Nothing is computed here beyond the report, but shares of traffic. A section without data is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from local.experiment_report import plots
from local.experiment_report.plots import Estimate, Panel
from local.experiment_report.values import (
    POOLED,
    Picture,
    Report,
    Section,
    count,
    days_text,
    edges_of,
    estimate,
    estimates_of,
    lift_text,
    plain,
    share,
)

SEGMENTS: Final[Mapping[str, str]] = {
    "prior": "context only",
    "session": "this visit",
    "user": "history and visit",
    "all": "not told apart",
}


def traffic(report: Report) -> Iterator[Section]:
    """Shares of exposures by day, in all and in each placement."""
    rows = report["history"]
    if not rows or not report["exposures"]:
        return
    variants, edges = report["variants"], edges_of(rows)
    names = [entry["placement"] for entry in report["placements"]]
    total = [_shares([sum(counts) for counts in zip(*_exposures(row, names), strict=True)]) for row in rows]
    panels = [Panel(name, edges, [_shares(row["placements"][name]["exposures"]) for row in rows]) for name in names]
    newest = next((row for row in reversed(total) if row), [0.0] * len(variants))
    words = ", ".join(f"{name} {share(part)}" for name, part in zip(variants, newest, strict=True))
    pictures = [
        Picture(
            "traffic_total",
            f"Share of exposures by day over all placements; on the last day {words}.",
            plots.stacked([Panel(POOLED, edges, total)], variants, ylabel="share of exposures"),
        ),
        Picture(
            "traffic_by_placement",
            "Share of exposures by day in each placement.",
            plots.stacked(panels, variants, ylabel="share of exposures"),
        ),
    ]
    table = [
        (
            days_text(row["day"]),
            count(sum(sum(counts) for counts in _exposures(row, names))),
            *(share(value) for value in shares or ()),
        )
        for row, shares in zip(rows, total, strict=True)
    ]
    meaning = (
        "Observed shares, the hold-out left aside. Weights move with the posterior; a decided placement is settled."
    )
    yield Section(
        "Traffic",
        meaning,
        pictures,
        ("Day", "exposures", *(f"share {name}" for name in variants)),
        table,
        is_folded=True,
    )


def holdout(report: Report) -> Iterator[Section]:
    """Everybody, and the viewers of each variant, against the hold-out."""
    found = report["holdout"]
    if not found["lift"]:
        return
    everybody = {"everybody else": {1: estimate(found["lift"])}}
    rows = everybody | {
        f"saw {row['variant']}": {k: estimate(row["lift"])} for k, row in enumerate(found["variants"]) if row["lift"]
    }
    figure = plots.forest(
        rows, report["variants"], xlabel="lift over the hold-out", emphasised=("everybody else",), legend=False
    )
    table = [
        ("held out", count(found["held_out"]["exposures"]), share(found["held_out"]["click_rate"], 2), "–"),
        (
            "everybody else",
            count(found["others"]["exposures"]),
            share(found["others"]["click_rate"], 2),
            lift_text(found["lift"]),
        ),
        *(
            (f"saw {row['variant']}", "", "", lift_text(row["lift"]) if row["lift"] else "–")
            for row in found["variants"]
        ),
    ]
    meaning = (
        f"{share(found['share'])} of visitors always see {report['control']}, whatever is tried. Intervals are 95 %, "
        "from the spread between groups of whole visitors, within placement and epoch. Those who saw the control "
        "should differ from the hold-out by chance only."
    )
    picture = Picture(
        "holdout", f"Lift over the hold-out: everybody else {lift_text(found['lift'])}; the table below.", figure
    )
    yield Section("Against the hold-out", meaning, (picture,), ("Visitors", "exposures", "rate", "lift"), table)


def segments(report: Report) -> Iterator[Section]:
    """Lifts by what was known of the visitor."""
    entries = report["segments"]["entries"]
    if not entries or not report["clicks"]:
        return
    rows = {SEGMENTS.get(e["segment"], e["segment"]): estimates_of(e["variants"]) for e in entries}
    figure = plots.forest(rows, report["variants"], xlabel=f"lift over {report['control']}")
    table = [
        (
            SEGMENTS.get(entry["segment"], entry["segment"]),
            row["variant"],
            count(row["exposures"]),
            share(row["click_rate"], 2),
            lift_text(row) if k else "–",
        )
        for entry in entries
        for k, row in enumerate(entry["variants"])
    ]
    agree = report["segments"]["spread"][0]["probability"]
    meaning = (
        "By what was known of the visitor when the list was made. One more level of the same model: segments are drawn "
        f"together as far as they agree (probability of no difference between them: {share(agree)})."
    )
    picture = Picture("segments", "Lift of each variant by segment with 95 % intervals; the table below.", figure)
    yield Section("Segments", meaning, (picture,), ("Known", "variant", "exposures", "rate", "lift"), table)


def guardrails(report: Report) -> Iterator[Section]:
    """Guardrails."""
    found = report["guardrails"]
    if not found:
        return
    variants = report["variants"]
    rows = {
        _watched(entry): {
            variants.index(entry["variant"]) if entry.get("variant") in variants else 0: Estimate(
                *(entry["ratio"][name] - 1 for name in ("value", "low", "high"))
            )
        }
        for entry in found
        if entry["ratio"]
    }
    pictures = []
    if rows:
        figure = plots.forest(rows, variants, xlabel="change against the hold-out or the control", legend=False)
        alt = "Change of each guardrail with its 95 % interval; the table below."
        pictures.append(Picture("guardrails", alt, figure))
    table = [
        (
            f"{_watched(entry)} ({entry['unit']})",
            plain(entry["treated"]),
            plain(entry["holdout"]),
            entry["state"].replace("_", " "),
            entry["sentence"],
        )
        for entry in found
    ]
    meaning = (
        "Watched for harm; not what the experiment decides on. Trade compares everybody else with the hold-out, "
        "serving compares a variant with the control."
    )
    columns = ("Guardrail", "now", "compared with", "state", "in words")
    yield Section("Guardrails", meaning, pictures, columns, table)


def _watched(entry: Mapping[str, Any]) -> str:
    """Name the guardrail and its variant."""
    name = entry["name"].replace("_", " ")
    return f"{name}, {entry['variant']}" if "variant" in entry else name


def split(report: Report) -> Iterator[Section]:
    """Observed against expected exposures."""
    check = report["split_check"]
    if not report["exposures"]:
        return
    rows = {
        entry["placement"]: {
            k: _deviation(row["exposures"], row["expected_exposures"])
            for k, row in enumerate(entry["variants"])
            if row["expected_exposures"] > 0
        }
        for entry in report["placements"]
    }
    figure = plots.forest(rows, report["variants"], xlabel="exposures above or below the weights")
    table = [
        (
            entry["placement"],
            row["variant"],
            count(row["exposures"]),
            count(round(row["expected_exposures"])),
        )
        for entry in report["placements"]
        for k, row in enumerate(entry["variants"])
    ]
    verdict = "They do not fit: something loses exposures." if check["suspect"] else "They fit."
    meaning = (
        f"Do exposures match the weights of every epoch? {verdict} Chi-square {check['statistic']:.1f} with "
        f"{check['degrees_of_freedom']} degrees of freedom; evidence that may be read at every look: "
        f"p = {check['anytime_p_value']:.2g}. Where that is too small every claim is withheld. Bars: ± 2 standard "
        "deviations of a fair split, repeat visits not counted in."
    )
    picture = Picture("split", f"Observed against expected exposures. {verdict}", figure)
    columns = ("Placement", "variant", "observed", "expected")
    yield Section("Did the split follow the weights?", meaning, (picture,), columns, table, is_folded=True)


def _deviation(observed: int, expected: float) -> Estimate:
    ratio, half = observed / expected - 1, 2 / expected**0.5
    return Estimate(ratio, ratio - half, ratio + half)


def _exposures(row: Mapping[str, Any], names: Sequence[str]) -> list[list[int]]:
    return [row["placements"][name]["exposures"] for name in names]


def _shares(counts: Sequence[int]) -> list[float] | None:
    total = sum(counts)
    return [count / total for count in counts] if total else None
