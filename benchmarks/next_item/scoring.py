"""Scores next-item answers: strata, metrics, intervals by session, breadth of the lists.

Besides the strata of questions, `without_repeats` has targets that the visit lacks and lists without the visit's items
(a placement with allow_repeats off), and `events_0` has the first item as its target. Letters: N questions, K length of
a list, L events of a visit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from recommender.domain.models.arrays import Counts, Doubles, Flags

from training_jobs.intervals import PLACES, intervals
from training_jobs.metrics import breadth
from training_jobs.next_item.prefixes import Answers, Prefixes, next_item_metrics

Values = dict[str, Doubles]  # metric -> (N,)
Metrics = dict[str, dict[str, float]]  # stratum -> metric -> value
Intervals = dict[str, dict[str, list[float]]]
AT_ONCE = 2000  # questions


@dataclass(frozen=True, slots=True)
class Scored:
    """Values of each question by stratum, and the breadth of the lists of all questions."""

    values: dict[str, Values]
    groups: dict[str, Counts]  # stratum -> the session of each question
    breadth: dict[str, float] = field(default_factory=dict)

    def means(self) -> Metrics:
        """stratum -> metric -> mean, with the breadth in `all`."""
        found = {
            stratum: {metric: round(float(each.mean()), PLACES) for metric, each in values.items()}
            for stratum, values in self.values.items()
        }
        return {**found, "all": {**found["all"], **self.breadth}} if "all" in found else found

    def intervals(self) -> Intervals:
        """stratum -> metric -> [low, high], drawing whole sessions."""
        return {stratum: intervals(values, groups=self.groups[stratum]) for stratum, values in self.values.items()}


def strata_of(prefixes: Prefixes) -> dict[str, Flags]:
    """Stratum -> (N,) whether each question belongs to it, for strata that have any."""
    lengths = prefixes.lengths
    strata = {
        "all": np.ones(len(prefixes), bool),
        **{f"events_{count}": lengths == count for count in (1, 2, 3)},
        "events_4plus": lengths >= 4,
        "no_repeats": ~prefixes.repeats(),
    }
    return {stratum: chosen for stratum, chosen in strata.items() if chosen.any()}


def score(answers: Answers, prefixes: Prefixes, strata: dict[str, Flags], popularity: Doubles) -> Scored:
    """The metrics of the answers by stratum (N,); `popularity` (I,) in train."""
    found = next_item_metrics(answers, prefixes.targets)
    values = {stratum: {metric: each[chosen] for metric, each in found.items()} for stratum, chosen in strata.items()}
    groups = {stratum: prefixes.starts[chosen] for stratum, chosen in strata.items()}
    fresh = strata.get("no_repeats")
    if fresh is not None:
        asked = np.flatnonzero(fresh)
        cut = without_visited(answers.take(asked), prefixes.take(asked))
        values["without_repeats"] = next_item_metrics(cut, prefixes.targets[asked])
        groups["without_repeats"] = prefixes.starts[asked]
    return Scored(values, groups, breadth(list(answers.rows), popularity))


def score_openings(answers: Answers, openings: Prefixes) -> Scored:
    """The answers before the first event."""
    return Scored({"events_0": next_item_metrics(answers, openings.targets)}, {"events_0": openings.starts})


def joined(first: Scored, second: Scored) -> Scored:
    """The strata of both; the breadth of the first."""
    return Scored({**first.values, **second.values}, {**first.groups, **second.groups}, first.breadth)


def mean_of(runs: list[Scored]) -> Scored:
    """The mean over seeds, question by question."""
    values = {
        stratum: {metric: np.mean([run.values[stratum][metric] for run in runs], axis=0) for metric in metrics}
        for stratum, metrics in runs[0].values.items()
    }
    wide = {name: round(float(np.mean([run.breadth[name] for run in runs])), PLACES) for name in runs[0].breadth}
    return Scored(values, runs[0].groups, wide)


def without_visited(answers: Answers, prefixes: Prefixes) -> Answers:
    """The lists without the items of their visits, closed up."""
    longest = int(prefixes.lengths.max(initial=1))
    rows, scores = np.full_like(answers.rows, -1), np.zeros_like(answers.scores)
    for start in range(0, len(prefixes), AT_ONCE):
        part = np.arange(start, min(start + AT_ONCE, len(prefixes)))
        visited = prefixes.take(part).newest(longest)  # (n, L)
        listed = answers.rows[part]  # (n, K)
        is_kept = (listed >= 0) & ~(listed[:, :, None] == visited[:, None, :]).any(axis=2)
        line, place = np.nonzero(is_kept)
        target = np.cumsum(is_kept, axis=1)[line, place] - 1
        rows[part[line], target] = listed[line, place]
        scores[part[line], target] = answers.scores[part][line, place]
    return Answers(rows, scores)
