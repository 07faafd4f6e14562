"""A bundle put together in memory, from counts up to a moment and models trained before it.

Training and evaluation ask the same domain functions as serving does, over the same type; only the graphs run in
PyTorch or numpy, which the jobs compare with ONNX before they write. Letters: I items, D width, K rows returned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Floats
from recommender.domain.bundle import Bundle, Cohorts, Model
from recommender.domain.candidates import top_rows
from recommender.domain.features import FEATURES
from recommender.domain.lexical import no_words
from recommender.domain.next_item import LISTED, NextItem
from recommender.domain.next_item_features import ItemFacts

from training_jobs.session_ranker.catalogue import CatalogueText
from training_jobs.session_ranker.encoder_training import Sequences
from training_jobs.session_ranker.lines import days_since_epoch
from training_jobs.session_ranker.next_item_facts import count_facts
from training_jobs.session_ranker.next_item_fitting import with_facts
from training_jobs.session_ranker.statistics import Statistics
from training_jobs.two_tower.towers import Towers

RETURNED = 500


@dataclass(frozen=True, slots=True)
class SessionModel:
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
    session: SessionModel,
    cohorts: Cohorts,
    ranker: Model | None = None,
) -> Bundle:
    """The bundle as of the statistics' `until`; without a ranker every candidate scores 0.5."""
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
        ranker_spec={"features": list(FEATURES)},
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
    """What the visits up to then say of the items, for the next-item network."""
    visits = statistics.visits
    return count_facts(
        Sequences(visits.offsets, visits.items),
        visits.days,
        count_items=len(statistics.item_ids),
        now_days=days_since_epoch(statistics.until),
    )


def nearest_items(item_vectors: Floats, returned: int = RETURNED) -> Model:
    """What retrieval.onnx answers, exactly: q (1, D) -> v (1, K), i (1, K)."""
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
