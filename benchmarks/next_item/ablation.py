"""The next-item network without one group of its features, the cost of one answer, and the answers of the peers.

A variant is fitted again on the same tail; a removed feature is 0 in training, so that the network's own bounds hold it
at 0 in the test, and a removed member proposes no candidates. The cost is of one answer at a time on one thread, on the
path that serves: kNN in numpy, encoder in ONNX, its nearest items by the 8-bit retrieval graph, and the network over
both. Letters: E width of the encoder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from recommender.domain.models.next_item import next_items
from recommender.domain.models.next_item_features import FEATURES

from benchmarks.next_item.data import NextItemData
from benchmarks.peers import bridge
from benchmarks.peers.exchange import Ragged, Split, nothing, ragged
from training_jobs.next_item.encoder import to_onnx
from training_jobs.next_item.fitting import FittingSettings, Questions, fit_network
from training_jobs.next_item.prefixes import LISTED, Answers, Encoded, Prefixes, encoded, fused, knn_answers, ranked
from training_jobs.next_item.session_model import SessionModel
from training_jobs.onnx_models import onnx_session
from training_jobs.two_tower.export import retrieval_onnx

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
TIMED = 1000
WARM_UP = 50


@dataclass(frozen=True, slots=True)
class Variant:
    """The features and members that are removed."""

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


def serving_cost(model: SessionModel, prefixes: Prefixes) -> dict[str, float]:
    """predict_cpu_ms_p50 and _p99 over a spread of test prefixes."""
    encoder = onnx_session(to_onnx(model.encoder))
    retrieval = onnx_session(retrieval_onnx(model.item_vectors, returned=LISTED))
    chosen = np.linspace(0, len(prefixes) - 1, min(TIMED + WARM_UP, len(prefixes))).astype(int)
    spent = []
    for number in chosen:
        started = time.thread_time()
        _predict(model, encoder, retrieval, prefixes.visit(number))
        spent.append((time.thread_time() - started) * 1e3)
    timed = spent[min(WARM_UP, len(spent) - 1) :]
    return {
        "predict_cpu_ms_p50": round(float(np.percentile(timed, 50)), 3),
        "predict_cpu_ms_p99": round(float(np.percentile(timed, 99)), 3),
    }


def _predict(
    model: SessionModel, encoder: ort.InferenceSession, retrieval: ort.InferenceSession, visit: np.ndarray
) -> None:
    vector = encoder.run(None, {"items": visit[None].astype(np.int64)})[0]  # (1, E)
    nearest = retrieval.run(["i"], {"q": vector})[0][0].astype(np.int32)
    next_items(
        model.next_item,
        visit,
        session_vec=vector[0],
        item_vectors=model.item_vectors,
        nearest=nearest,
        sessions=model.neighbours(visit),
    )


def peer_answers(
    python: Path,
    data: NextItemData,
    prefixes: Prefixes,
    *,
    methods: Sequence[str] = bridge.METHODS,
    kept: Path = bridge.KEPT,
) -> tuple[dict[str, Answers], dict[str, Any]]:
    """Answers of every peer, with its choices and cost. Items that train does not know are left out of a prefix."""
    train = Ragged(data.train.offsets, data.train.items)
    visits = (prefixes.visit(number) for number in range(len(prefixes)))
    histories = ragged([visit[visit >= 0] for visit in visits])
    test = Split(data.count_items, LISTED, train, histories, nothing(len(histories)))
    tail = bridge.newest_sequences(train, count_items=data.count_items, listed=LISTED)
    found = bridge.fetch_lists(python, tail=tail, test=test, methods=methods, kept=kept)
    answers = {method: Answers(lists.rows, lists.scores) for method, lists in found.items()}
    return answers, {method: lists.facts for method, lists in found.items()}
