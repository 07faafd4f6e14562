"""The facts that decide a report's wording, and how numbers and names are put into words.

Decisions: docs/decisions/experiments-report.md (217).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recommender.domain.experiments.evidence.checks import SplitCheck
from recommender.domain.experiments.evidence.posterior import Posterior
from recommender.domain.experiments.evidence.standing import KEEP, KILLED, SHIP, UNDECIDED, Lift, Standing
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.experiments.running.permitted import OFF

POWER_QUANTILE: float = 0.8416  # a lift that is seen with 80 % probability lies that many sd beyond the boundary


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a sentence may depend on. Lifts are those of each challenger, pooled, as of now."""

    config: ExperimentConfig
    exposures: int
    clicks: int
    days: float
    lifts: Sequence[Lift]  # that are to last
    present_lifts: Sequence[Lift]  # as they were so far, novelty and weekdays included
    standings: Sequence[Standing]
    probability_of_spread: float
    split: SplitCheck
    visible_lift: float | None = None  # smallest lift of one placement that would probably have been seen by now
    next_look_day: float | None = None
    holdout_lift: Mapping[str, float | None] | None = None
    killed: Sequence[str] = ()
    is_too_small: bool = False  # even +10 % would take longer than registered
    guardrails: Sequence[Mapping[str, object]] = field(default_factory=tuple)
    is_simulated: bool = False
    novelty_probability: float = 0.0  # that first days were different, where the model takes novelty out
    withdrawn: Mapping[str, Sequence[str]] = field(default_factory=dict)  # placement -> variants that were rolled back
    canary: Mapping[str, Any] | None = None  # what the newest look said of a canary
    shown: Sequence[bool] = ()  # (K,) whether a variant and the control have the clicks for a lift; () : all
    has_boundary: bool = True  # False: nothing is calibrated for this design, so nothing can be claimed

    @property
    def is_off(self) -> bool:
        """True where the control serves everybody, in every placement."""
        return self.config.status in OFF or self.config.experiment_id in self.killed

    @property
    def taken_off(self) -> list[Standing]:
        """Placements in which the control serves because of a kill."""
        return [standing for standing in self.standings if standing.status == KILLED]

    @property
    def is_withheld(self) -> bool:
        """True where the split is off: then nothing may be compared."""
        return self.split.is_suspect

    @property
    def shipped(self) -> list[Standing]:
        """Placements in which a challenger passed the boundary."""
        return [standing for standing in self.standings if standing.status == SHIP and standing.by == "rule"]

    @property
    def kept(self) -> list[Standing]:
        """Placements in which a look kept the control."""
        return [standing for standing in self.standings if standing.status == KEEP and standing.by == "rule"]

    @property
    def by_hand(self) -> list[Standing]:
        """Placements that a person decided."""
        return [standing for standing in self.standings if standing.by == "operator"]

    @property
    def undecided(self) -> list[Standing]:
        """Placements without a decision."""
        return [standing for standing in self.standings if standing.status == UNDECIDED]


def visible_lift(posterior: Posterior, boundary: float | None) -> float | None:
    """e^((boundary + 0.84) sd) - 1: a lift that carries a typical placement over the boundary 4 times in 5."""
    if boundary is None:
        return None
    deviations = np.sqrt(np.diagonal(posterior.covariance, axis1=1, axis2=2))  # (P, C)
    return round(float(np.expm1((boundary + POWER_QUANTILE) * np.median(deviations))), 6)


def percent(lift: float) -> str:
    """A signed percentage."""
    return f"{100 * lift:+.1f} %"


def share(value: float) -> str:
    """A percentage without a sign; up to two decimals."""
    return f"{100 * value:.2f}".rstrip("0").rstrip(".") + " %"


def interval(lift: Sequence[float]) -> str:
    """A lift with its 95 % posterior interval."""
    middle, low, high = lift
    return f"{percent(middle)} (95 % posterior interval {percent(low)} to {percent(high)})"


def days(value: float) -> str:
    """A day count with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def listed(names: Iterable[str]) -> str:
    """a, b and c."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def placements(found: Sequence[Standing], config: ExperimentConfig) -> str:
    """The placements by name, or all of them at once."""
    if len(found) == len(config.placements) > 1:
        return f"all {len(found)} placements"
    return listed(standing.placement for standing in found)
