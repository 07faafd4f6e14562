"""From exports to a ranker: counts as of each cut of the past, labels from the weeks after it.

Towers and session encoder must have been trained before the first cut, or their features would already know the
labels. Two cuts in a row give twice the labels and two seasons.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Floats
from recommender.domain.bundle import Bundle, Model
from recommender.domain.session_knn import DEFAULT_SETTINGS, KnnSettings

from training_jobs.exports import Exports
from training_jobs.session_ranker.browsing import browsed_groups
from training_jobs.session_ranker.cohorts import Segmentation, build_cohorts
from training_jobs.session_ranker.lines import days_since_epoch, read_lines
from training_jobs.session_ranker.ranker import RankerSettings, TrainedRanker, train_ranker
from training_jobs.session_ranker.ranker_bundle import SessionModel, memory_bundle
from training_jobs.session_ranker.ranker_data import Group, Later, draw_groups, later
from training_jobs.session_ranker.statistics import Statistics, build_statistics
from training_jobs.two_tower.towers import Towers

CUTS = 2
LABEL_DAYS = 28.0
OLDER_WINDOWS = 0.5  # share of the windows that are asked at cuts before the newest


@dataclass(frozen=True, slots=True)
class RankerPlan:
    """How many requests of the past are asked, and how the ranker learns from them."""

    groups_per_cut: int = 2500  # whole-window requests; as many visits are added
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


@dataclass(frozen=True, slots=True)
class Counted:
    """What was known at a moment: everything counted, and the incumbent's segments."""

    statistics: Statistics
    segments: Segmentation

    @property
    def now_days(self) -> float:
        """The moment, in days since the epoch."""
        return days_since_epoch(self.statistics.until)


@dataclass(frozen=True, slots=True)
class Models:
    """Trained parts that a bundle at any moment can be put together with."""

    content_vectors: Floats  # (T, C)
    towers: Towers
    session: SessionModel
    knn: KnnSettings = DEFAULT_SETTINGS

    def bundle(self, counted: Counted, ranker: Model | None = None) -> Bundle:
        """The bundle as of that moment."""
        statistics = counted.statistics
        return memory_bundle(
            replace(statistics, session_index=statistics.session_index.with_settings(self.knn)),
            content_vectors=self.content_vectors,
            towers=self.towers,
            session=self.session,
            cohorts=counted.segments.lists(),
            ranker=ranker,
        )


def count_until(exports: Exports, until: datetime, content_rows: NDArray[np.integer]) -> Counted:
    """Statistics and segments of what happened before `until`."""
    statistics = build_statistics(exports, until=until, content_rows=content_rows)
    return Counted(statistics, build_cohorts(exports.shoppers, statistics, now_days=days_since_epoch(until)))


def bought_between(exports: Exports, start: datetime, end: datetime) -> Later:
    """The purchases of a window."""
    lines = read_lines(exports, until=end)
    return later(lines, after_days=days_since_epoch(start), until_days=days_since_epoch(end))


def labelled(
    counted: Counted, bought: Later, models: Models, plan: RankerPlan, *, is_newest: bool = True
) -> list[Group]:
    """The labelled requests of one cut; the models must have been trained before the first cut.

    What is tried changes with the season, so an older cut gives fewer windows; the rest of a basket does not.
    """
    return draw_groups(
        models.bundle(counted),
        counted.statistics.histories,
        bought,
        dict(counted.segments.of_shopper),
        np.random.default_rng(plan.training.seed),
        now_days=counted.now_days,
        most=plan.groups_per_cut,
        limit=plan.candidates,
        share_of_windows=1.0 if is_newest else OLDER_WINDOWS,
    )


def fit_ranker(
    exports: Exports,
    *,
    cuts: tuple[datetime, ...],
    evaluate_from: datetime,
    content_rows: NDArray[np.integer],
    models: Models,
    plan: RankerPlan,
) -> TrainedRanker:
    """Train on requests at each cut, and within the visits recorded until the next one."""
    groups: list[Group] = []
    for cut, end in zip(cuts, (*cuts[1:], evaluate_from), strict=True):
        counted = count_until(exports, cut, content_rows)
        groups += labelled(counted, bought_between(exports, cut, end), models, plan, is_newest=cut == cuts[-1])
        groups += browsed_groups(
            models.bundle(counted),
            exports,
            counted.statistics.histories,
            counted.segments.of_shopper,
            np.random.default_rng(plan.training.seed),
            window=(cut, end),
            most=plan.groups_per_cut // 2,
            limit=plan.candidates,
        )
    return train_ranker(groups, plan.training)
