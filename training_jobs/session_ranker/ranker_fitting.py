"""From exports to a ranker: counts as of each cut of the past, labels from the weeks after it.

Towers and session encoder must have been trained before the first cut, or their features would already know the
labels. Two cuts in a row give twice the labels and two seasons.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Floats

from training_jobs.exports import Exports
from training_jobs.session_ranker.cohorts import build_cohorts
from training_jobs.session_ranker.lines import days_since_epoch, read_lines
from training_jobs.session_ranker.ranker import RankerSettings, TrainedRanker, train_ranker
from training_jobs.session_ranker.ranker_bundle import SessionModel, memory_bundle
from training_jobs.session_ranker.ranker_data import Group, draw_groups, later
from training_jobs.session_ranker.statistics import build_statistics
from training_jobs.two_tower.towers import Towers

CUTS = 2
LABEL_DAYS = 28.0


@dataclass(frozen=True, slots=True)
class RankerPlan:
    """How many requests of the past are asked, and how the ranker learns from them."""

    groups_per_cut: int = 2500  # whole-window requests; half as many visits are added
    candidates: int = 600
    training: RankerSettings = field(default_factory=RankerSettings)


def label_cuts(
    data_from: datetime, evaluate_from: datetime, *, label_days: float = LABEL_DAYS, count: int = CUTS
) -> tuple[datetime, ...]:
    """The moments at which the ranker's requests are made, ascending; the last labels end at `evaluate_from`.

    Where the data are short the windows shrink, so that as much time as a window lies before the first one.
    """
    span = (evaluate_from - data_from).total_seconds() / 86_400
    days = timedelta(days=min(label_days, span / (count + 1)))
    return tuple(evaluate_from - days * n for n in range(count, 0, -1))


def fit_ranker(
    exports: Exports,
    *,
    cuts: tuple[datetime, ...],
    evaluate_from: datetime,
    content_vectors: Floats,
    content_rows: NDArray[np.integer],
    towers: Towers,
    session: SessionModel,
    plan: RankerPlan,
) -> TrainedRanker:
    """Train on requests at each cut, labelled by what was bought until the next one."""
    groups: list[Group] = []
    for cut, end in zip(cuts, (*cuts[1:], evaluate_from), strict=True):
        groups += cut_groups(
            exports,
            cut=cut,
            end=end,
            content_vectors=content_vectors,
            content_rows=content_rows,
            towers=towers,
            session=session,
            plan=plan,
        )
    return train_ranker(groups, plan.training)


def cut_groups(
    exports: Exports,
    *,
    cut: datetime,
    end: datetime,
    content_vectors: Floats,
    content_rows: NDArray[np.integer],
    towers: Towers,
    session: SessionModel,
    plan: RankerPlan,
) -> list[Group]:
    """The labelled requests of one cut."""
    now_days = days_since_epoch(cut)
    statistics = build_statistics(exports, until=cut, content_rows=content_rows)
    segments = build_cohorts(exports.shoppers, statistics, now_days=now_days)
    bundle = memory_bundle(
        statistics, content_vectors=content_vectors, towers=towers, session=session, cohorts=segments.lists()
    )
    lines = read_lines(exports, until=end)
    bought = later(lines, after_days=now_days, until_days=days_since_epoch(end))
    return draw_groups(
        bundle,
        statistics.histories,
        bought,
        dict(segments.of_shopper),
        np.random.default_rng(plan.training.seed),
        now_days=now_days,
        most=plan.groups_per_cut,
        limit=plan.candidates,
    )
