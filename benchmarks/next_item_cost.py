"""What one next-item answer costs on the path that serves, one by one, on one thread.

kNN in numpy, encoder in ONNX, its nearest items by the 8-bit retrieval graph, and the network over both in numpy; all
cosines that the answer depends on are computed exactly by the network's features.
"""

from __future__ import annotations

import time

import numpy as np
import onnxruntime as ort
from recommender.domain.next_item import next_items

from training_jobs.session_ranker.encoder import to_onnx
from training_jobs.session_ranker.prefixes import LISTED, Prefixes
from training_jobs.session_ranker.session_model import SessionModel
from training_jobs.two_tower.export import retrieval_onnx, session

TIMED = 1000
WARM_UP = 50


def serving_cost(model: SessionModel, prefixes: Prefixes) -> dict[str, float]:
    """predict_cpu_ms_p50 and _p99 over a spread of test prefixes."""
    encoder = session(to_onnx(model.encoder))
    retrieval = session(retrieval_onnx(model.item_vectors, returned=LISTED))
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
