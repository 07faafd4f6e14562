"""The quality gate: a new model must deserve to replace the one in force.

It must beat the simple methods of its own run, and must not lose more than a tolerance against the champion. The
champion is evaluated on the same data where `evaluate` has done so (method `champion`); otherwise its published figure
is used, and the verdict names the choice.

Decisions: docs/decisions/bundle.md (046).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from recommender.errors import ArtifactRefused, Conflict

METHOD: Final = "hybrid"
CHAMPION: Final = "champion"
STRATUM: Final = "all"
METRIC: Final = "recall@20"
MUST_BEAT: Final = ("popular", "cohorts")


def judge(metrics: Mapping[str, Any], champion: Mapping[str, Any] | None, *, tolerance: float) -> dict[str, Any]:
    """The verdict as JSON, passed or not: the figure, its comparisons, and each reason for a refusal.

    `metrics` are those of `evaluate`, `champion` those in the manifest in force; `tolerance` is the share of the
    champion's figure that may be lost.
    """
    found = figure(metrics, METHOD)
    baselines = {name: figure(metrics, name) for name in MUST_BEAT}
    reasons = [
        f"{METHOD} has {METRIC} {found:.4f}, expected more than {value:.4f} of {name}"
        for name, value in baselines.items()
        if not found > value
    ]
    compared, champion_value = _champion(metrics, champion)
    if champion_value is not None and found < champion_value * (1.0 - tolerance):
        reasons.append(
            f"{METHOD} has {METRIC} {found:.4f}, expected at least {champion_value * (1.0 - tolerance):.4f}: "
            f"the champion's {champion_value:.4f} less {tolerance:.0%}"
        )
    return {
        "passed": not reasons,
        "metric": f"{METHOD}/{STRATUM}/{METRIC}",
        "value": found,
        "baselines": baselines,
        "champion": champion_value,
        "champion_compared": compared,
        "tolerance": tolerance,
        "reasons": reasons,
    }


def require_pass(verdict: Mapping[str, Any]) -> None:
    """Raise Conflict `gate_failed` with all reasons where the verdict is negative."""
    if not verdict["passed"]:
        raise Conflict("; ".join(verdict["reasons"]), code="gate_failed")


def figure(metrics: Mapping[str, Any], method: str) -> float:
    """recall@20 on all of a method: a number, or the `value` of one with an interval. Raises ArtifactRefused."""
    try:
        entry = metrics["methods"][method][STRATUM][METRIC]
        return float(entry["value"] if isinstance(entry, Mapping) else entry)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused(f"the metrics have no methods/{method}/{STRATUM}/{METRIC}") from error


def _champion(metrics: Mapping[str, Any], champion: Mapping[str, Any] | None) -> tuple[str, float | None]:
    if CHAMPION in metrics.get("methods", {}):
        return "on the same data", figure(metrics, CHAMPION)
    if not champion:
        return "there is none", None
    try:
        return "by its published figure", figure(champion, METHOD)
    except ArtifactRefused:
        return "it has no figure", None
