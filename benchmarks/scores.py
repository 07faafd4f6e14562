"""The scores of a method: metrics of each question by stratum, averaged over seeds, with means and intervals for JSON.

Letters: Q questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from recommender.domain.models.arrays import Counts, Doubles

from training_jobs.intervals import PLACES, intervals

Metrics = dict[str, dict[str, float]]  # stratum -> metric -> value


@dataclass(frozen=True, slots=True)
class Scores:
    """Values of each question by stratum, and the breadth of the lists."""

    values: Mapping[str, Mapping[str, Doubles]]  # stratum -> metric -> (Q,)
    groups: Mapping[str, Counts] = field(default_factory=dict)  # stratum -> (Q,) session; absent: each stands alone
    breadth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # stratum -> metric -> value

    def means(self) -> Metrics:
        """stratum -> metric -> mean, with the breadth."""
        return {
            stratum: {metric: rounded_mean(found) for metric, found in values.items()}
            | dict(self.breadth.get(stratum, {}))
            for stratum, values in self.values.items()
        }

    def intervals(self) -> dict[str, dict[str, list[float]]]:
        """stratum -> metric -> [low, high], drawing whole groups."""
        return {stratum: intervals(values, groups=self.groups.get(stratum)) for stratum, values in self.values.items()}

    def joined(self, other: Scores) -> Scores:
        """The strata of both."""
        return Scores({**self.values, **other.values}, {**self.groups, **other.groups}, self.breadth)


def mean_of(runs: Sequence[Scores]) -> Scores:
    """The mean over runs (seeds), question by question."""
    values = {
        stratum: {metric: np.mean([run.values[stratum][metric] for run in runs], axis=0) for metric in metrics}
        for stratum, metrics in runs[0].values.items()
    }
    breadth = {
        stratum: {name: rounded_mean([run.breadth[stratum][name] for run in runs]) for name in names}
        for stratum, names in runs[0].breadth.items()
    }
    return Scores(values, runs[0].groups, breadth)


def rounded_mean(values: Doubles | Sequence[float]) -> float:
    """The mean of (Q,) values as a benchmark prints it."""
    return round(float(np.mean(values)), PLACES)
