"""Experiments for people: aligned columns, forecasts in words, refusals by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def listed(body: Mapping[str, Any]) -> str:
    """GET /v1/experiments."""
    rows = [
        (
            one["experiment_id"],
            str(one["version"]),
            one["status"] + ("" if one["in_force"] or one["status"] == "draft" else " (out of force)"),
            one["mode"],
            one["design"]["rule"],
            str(len(one["placements"])),
            " ".join(one["variants"]),
            one["started_at"][:16] or "-",
        )
        for one in body["experiments"]
    ]
    head = ("experiment", "version", "status", "mode", "rule", "placements", "variants, control first", "started")
    lines = [columns(head, rows) if rows else "No experiments."]
    if body["defaults"]:
        lines.append(
            "Promoted: " + ", ".join(f"{name} {variant}" for name, variant in sorted(body["defaults"].items()))
        )
    return "\n".join([*lines, f"Epoch {body['epoch']}."])


def shown(one: Mapping[str, Any]) -> str:
    """One experiment: how it stands in each placement."""
    design = one["design"]
    looks = " ".join(str(day) for day in _shortened(one["look_days"]))
    head = ("placement", *one["variants"], "state")
    rows = [
        (name, *(f"{weight:.3f}" for weight in one["weights"][name]), _state(one, name)) for name in one["placements"]
    ]
    killed = [name for name in one["killed"] if name not in one["placements"]]
    return "\n".join(
        [
            f"{one['experiment_id']}, version {one['version']}: {one['status']}"
            + ("" if one["in_force"] else ", not in force"),
            f"  {one['mode']} by the rule {design['rule']}, looks on days {looks}; floor {one['floor_share']:.1%}, "
            f"hold-out {one['holdout_share']:.1%}" + (f"; killed: {', '.join(killed)}" if killed else ""),
            columns(head, rows, indent="  "),
        ]
    )


def forecast(body: Mapping[str, Any]) -> str:
    """Write a draft's forecast, and its obstacles."""
    lines = []
    found = body["forecast"]
    if found is not None:
        traffic = found["traffic"]
        source = "as given" if traffic["source"] == "given" else f"measured over {traffic['measured_days']:g} days"
        lines.append(
            f"Traffic {source}: {traffic['daily_exposures']:,.0f} exposures a day, {traffic['click_rate']:.2%} clicked"
        )
        rows = [
            (f"{100 * one['lift']:+.3g} %", _day(one["median_days"]), f"{one['power']:.0%}") for one in found["lifts"]
        ]
        lines += [columns(("true lift", "half are shipped by", "shipped at all"), rows, indent="  ")]
        lines.append(f"{found['sentence']} (simulated)")
    lines += [f"Note {one['pointer']}: is {one['value']}, expected {one['expected']}" for one in body["problems"]]
    return "\n".join(lines)


def audit(body: Mapping[str, Any]) -> str:
    """GET …/audit."""
    rows = [
        (
            entry["at"][:19],
            entry["action"],
            str(entry.get("epoch", "")),
            str(entry.get("version", "")),
            str(entry.get("actor", "")).rpartition("/")[2] or "-",
            str(entry.get("reason", "")) or "-",
        )
        for entry in body["entries"]
    ]
    return columns(("at (UTC)", "action", "epoch", "version", "by", "reason"), rows)


def refusal(problem: Mapping[str, Any]) -> str:
    """A problem document: what was refused, and each field with its value and what was expected."""
    errors = problem.get("errors") or ()
    if not errors:
        return f"Refused ({problem['code']}): {problem['detail']}"
    wrong = [f"  {one['pointer']}: is {one['value']}, expected {one['expected']}" for one in errors]
    return "\n".join([f"Refused ({problem['code']}):", *wrong])


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    """Text aligned to the left in columns two spaces apart."""
    table = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[n]) for row in table) for n in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(indent + line.rstrip() for line in lines)


def _state(one: Mapping[str, Any], placement: str) -> str:
    if placement in one["killed"]:
        return "killed"
    if placement in one["decided"]:
        return f"decided: {one['decided'][placement]}"
    return "control only" if one["status"] in ("paused", "killed") else "open"


def _shortened(days: Sequence[int]) -> list[Any]:
    return [*days] if len(days) <= 6 else [*days[:3], "…", days[-1]]


def _day(day: int | None) -> str:
    return "never" if day is None else f"day {day}"
