"""Scores next-item answers: strata, metrics, intervals by session, breadth of the lists.

Besides the strata of questions, `without_repeats` has targets that the visit lacks and lists without the visit's items
(a placement with allow_repeats off), and `events_0` has the first item as its target. Letters: N questions, K length of
a list, L events of a visit.
"""

from __future__ import annotations

import numpy as np
from recommender.domain.models.arrays import Doubles, Flags

from benchmarks.scores import Scores
from training_jobs.metrics import breadth
from training_jobs.next_item.prefixes import Answers, Prefixes, next_item_metrics

AT_ONCE = 2000  # questions


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


def score(answers: Answers, prefixes: Prefixes, strata: dict[str, Flags], popularity: Doubles) -> Scores:
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
    return Scores(values, groups, {"all": breadth(list(answers.rows), popularity)})


def score_openings(answers: Answers, openings: Prefixes) -> Scores:
    """The answers before the first event."""
    return Scores({"events_0": next_item_metrics(answers, openings.targets)}, {"events_0": openings.starts})


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
