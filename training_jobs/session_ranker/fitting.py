"""Fits the ranker from exports, and puts bundles together in memory from counts and models as of a moment.

Counts are made as of each cut of the past, labels come from the weeks after it; two cuts in a row give twice the labels
and two seasons. Towers and session encoder must have been trained before the first cut, or their features would contain
the labels. Training and evaluation call the domain functions of serving, over the same type; only the graphs run in
PyTorch or numpy. Letters: I items, D width, E width of the encoder, K rows returned, T texts, C content width.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from recommender.domain.models.bundle import Bundle, Cohorts, Model
from recommender.domain.models.next_item import LISTED, NextItem
from recommender.domain.models.next_item_features import ItemFacts
from recommender.domain.models.search import no_words
from recommender.domain.models.session_knn import DEFAULT_SETTINGS, KnnSettings
from recommender.domain.serving.candidates import top_rows

from training_jobs.counting.catalogue import CatalogueText
from training_jobs.counting.cohorts import Segmentation, build_cohorts
from training_jobs.counting.counts import Statistics, build_statistics
from training_jobs.counting.lines import Bought, bought_between, days_since_epoch
from training_jobs.exports import Exports
from training_jobs.next_item.encoder_training import Sequences
from training_jobs.next_item.fitting import count_facts, with_facts
from training_jobs.session_ranker.browsing import browsed_groups
from training_jobs.session_ranker.data import Group, draw_groups
from training_jobs.session_ranker.ranker import RankerSettings, TrainedRanker, train_ranker
from training_jobs.two_tower.towers import Towers

RETURNED = 500
JUST_AFTER = timedelta(microseconds=1)
OLDER_WINDOWS = 0.5  # share of the windows that are used at cuts before the newest


@dataclass(frozen=True, slots=True)
class SessionPart:
    """The neural session encoder as a bundle uses it."""

    item_vectors: Floats  # (I, E)
    encoder: Model  # items (1, L) -> session_vec (1, E)
    next_item: NextItem | None = None  # over facts of any time: a bundle counts its own


@dataclass(frozen=True, slots=True)
class CatalogueLines:
    """Display facts read from the bytes of catalogue.jsonl."""

    text: CatalogueText

    def describe(self, row: int) -> Mapping[str, Any]:
        """The line of `row`."""
        found: Mapping[str, Any] = json.loads(self.text.content[self.text.offsets[row] : self.text.offsets[row + 1]])
        return found


def memory_bundle(
    statistics: Statistics,
    *,
    content_vectors: Floats,
    towers: Towers,
    session: SessionPart,
    cohorts: Cohorts,
    ranker: Model | None = None,
) -> Bundle:
    """The bundle as of the statistics' `until`; without a ranker every candidate scores 0.5.

    `content_vectors` (T, C).
    """
    return Bundle(
        bundle_id=f"memory-{statistics.until:%Y%m%d}",
        item_ids=statistics.item_ids,
        catalogue=CatalogueLines(statistics.catalogue),
        items=statistics.items,
        item_vectors=towers.item_vectors,
        content_vectors=content_vectors,
        session_item_vectors=session.item_vectors,
        prior=statistics.prior,
        preference=towers.preference,
        session_index=statistics.session_index,
        co_purchase=statistics.co_purchase,
        complements=statistics.complements,
        discovery=statistics.discovery,
        cohorts=cohorts,
        fallback={name: tuple(item_ids) for name, item_ids in statistics.fallback.items()},
        user_tower=towers.user_tower,
        session_encoder=session.encoder,
        ranker=ranker or _undecided,
        retrieval=nearest_items(towers.item_vectors),
        next_item=with_facts(session.next_item, visit_facts(statistics)) if session.next_item else None,
        session_retrieval=nearest_items(session.item_vectors, LISTED),
        encode_query=_no_queries,
        lexical=no_words(len(statistics.item_ids)),
    )


def visit_facts(statistics: Statistics) -> ItemFacts:
    """The facts of the items from the visits up to then, for the next-item network."""
    visits = statistics.visits
    return count_facts(
        Sequences(visits.offsets, visits.items),
        visits.days,
        count_items=len(statistics.item_ids),
        now_days=days_since_epoch(statistics.until),
    )


def nearest_items(item_vectors: Floats, returned: int = RETURNED) -> Model:
    """The answer of retrieval.onnx over vectors (I, D), exactly: q (1, D) -> v (1, K), i (1, K)."""
    kept = min(returned, len(item_vectors))

    def run(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        scores = item_vectors @ feed["q"][0]  # (I,)
        found = top_rows(scores, kept)
        return {"v": scores[found][None], "i": found[None].astype(np.int64)}

    return run


def _undecided(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    return {"score": np.full(len(feed["features"]), 0.5, np.float32)}


def _no_queries(_text: str) -> Floats:
    raise NotImplementedError("a bundle in memory has no query encoder: purchases hold no search terms")


@dataclass(frozen=True, slots=True)
class RankerPlan:
    """The number of requests of the past, and the ranker's training on them."""

    groups_per_cut: int = 2500  # whole-window requests; as many visits are added
    candidates: int = 600
    training: RankerSettings = field(default_factory=RankerSettings)


@dataclass(frozen=True, slots=True)
class Counted:
    """The knowledge at a moment: everything counted, and the incumbent's segments."""

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
    session: SessionPart
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
    """Statistics and segments of the time before `until`; `content_rows` (I,)."""
    statistics = build_statistics(exports, until=until, content_rows=content_rows)
    return Counted(statistics, build_cohorts(exports.shoppers, statistics, now_days=days_since_epoch(until)))


def labelled(
    counted: Counted, bought: Bought, models: Models, plan: RankerPlan, *, is_newest: bool = True
) -> list[Group]:
    """The labelled requests of one cut; the models must have been trained before the first cut.

    First purchases change with the season, so an older cut gives fewer windows; the rest of a basket does not.
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
    """Train on requests at each cut, and within the visits recorded until the next one; `content_rows` (I,)."""
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
