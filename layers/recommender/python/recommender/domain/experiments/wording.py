"""What may be said from an experiment, and what may not: sentences that a report carries beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recommender.domain.experiments.checks import SplitCheck
from recommender.domain.experiments.config import ExperimentConfig

WEEK_DAYS: Final = 7
SPREAD_LIMIT: Final = 0.5  # probability that placements differ, above which one pooled figure hides too much


@dataclass(frozen=True, slots=True)
class Findings:
    """The facts that decide the wording. `lifts` are (mean, low, high) of each challenger, pooled."""

    config: ExperimentConfig
    exposures: int
    clicks: int
    lifts: Sequence[tuple[float, float, float]]
    days: float
    probability_of_spread: float
    split: SplitCheck


def may_claim(found: Findings) -> list[str]:
    """Estimates with their conditions; none where nothing was clicked or the split is off."""
    if not found.clicks or found.split.is_suspect:
        return []
    return [
        f"After {found.exposures} exposures in {len(found.config.placements)} placements the click rate of "
        f"{variant} is estimated {_percent(mean)} against {found.config.control} (95 % posterior interval "
        f"{_percent(low)} to {_percent(high)}), averaged over placements, shrunk towards no difference, with "
        "repeat visits accounted for."
        for variant, (mean, low, high) in zip(found.config.variants[1:], found.lifts, strict=True)
    ]


def may_not_claim(found: Findings) -> list[str]:
    """What these data do not show, most serious first."""
    reasons = [
        (
            found.split.is_suspect,
            "Any comparison: exposures do not match the weights "
            f"(sample-ratio mismatch, p = {found.split.p_value:.1g}); find the cause first.",
        ),
        (not found.clicks, "Anything about click rates: no click has been counted yet."),
        (
            True,
            "That a variant has won or lost: no stopping boundary has been calibrated for this configuration, and an "
            "interval that is looked at repeatedly is not a test at 5 %.",
        ),
        (
            found.days < WEEK_DAYS,
            f"Anything about a whole week: the data cover {found.days:.1f} days, and weekends may favour a variant.",
        ),
        (
            found.probability_of_spread > SPREAD_LIMIT,
            "That the pooled lift holds in each placement: placements probably differ "
            f"(probability {found.probability_of_spread:.2f}); read them one by one.",
        ),
        (True, "That an early lift will last: the first days carry novelty and are not left out."),
        (True, "Anything about revenue, margin or order value: only exposures and clicks are counted here."),
    ]
    return [sentence for applies, sentence in reasons if applies]


def _percent(lift: float) -> str:
    return f"{100 * lift:+.1f} %"
