"""What each part of the hybrid adds: the network fitted anew on the same tail without one group of its features.

A feature that is left out is 0 in training, so that the network's own bounds hold it at 0 in the test. A member that
is left out puts forward no candidates either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from recommender.domain.next_item_features import FEATURES

from training_jobs.session_ranker.next_item_fitting import FittingSettings, Questions, fit_network
from training_jobs.session_ranker.prefixes import Answers, Prefixes
from training_jobs.session_ranker.session_answers import Encoded, encoded, fused, knn_answers, ranked
from training_jobs.session_ranker.session_model import SessionModel

ENCODER = ("mixed", "like_last", "like_before", *(name for name in FEATURES if name.startswith("encoder_")))
KNN = ("mixed", *(name for name in FEATURES if name.startswith("sessions_")))
REPEATS = (
    "clicks",
    "click_share",
    "since_last_click",
    "since_first_click",
    "between_clicks",
    "recency_rank",
    "click_rank",
    "is_first",
    "followed_last",
    "visit_since_repeat",
    "repeat_log_odds",
)
FACTS = ("log_share", "trend")


@dataclass(frozen=True, slots=True)
class Variant:
    """What is left out."""

    features: tuple[str, ...]
    has_encoder: bool = True
    has_knn: bool = True


VARIANTS = {
    "without_encoder": Variant(ENCODER, has_encoder=False),
    "without_knn": Variant(KNN, has_knn=False),
    "without_repeat_features": Variant(REPEATS),
    "without_item_facts": Variant(FACTS),
}


def ablate(model: SessionModel, prefixes: Prefixes, fitting: FittingSettings) -> dict[str, Answers]:
    """The answers of every variant; the plain mix alone where the tail was too short to fit anything."""
    neural = encoded(model.encoder, prefixes)
    knn = knn_answers(model.index, prefixes, model.knn, now_days=model.now_days)
    found = {"without_learned_fusion": fused(neural.answers, knn, model.fusion)}
    if model.questions is None:
        return found
    for name, variant in VARIANTS.items():
        network = fit_network(model.next_item, _without(model.questions, variant), fitting)
        found[name] = ranked(
            network,
            prefixes,
            neural if variant.has_encoder else Encoded(neural.vectors, _nothing(neural.answers)),
            knn if variant.has_knn else _nothing(knn),
            model.item_vectors,
        )
    return found


def _without(questions: Questions, variant: Variant) -> Questions:
    features = questions.features.copy()
    features[:, [FEATURES.index(name) for name in variant.features]] = 0.0
    return Questions(features, questions.is_target, questions.offsets)


def _nothing(answers: Answers) -> Answers:
    return Answers(np.full_like(answers.rows, -1), np.zeros_like(answers.scores))
