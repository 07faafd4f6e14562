"""What one next-item answer costs on the path that serves: kNN in numpy, encoder in ONNX, fusion. CPU, one by one."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime as ort
from recommender.domain.fusion import fuse

from training_jobs.session_ranker.encoder import to_onnx
from training_jobs.session_ranker.prefixes import LISTED, Prefixes
from training_jobs.session_ranker.session_model import SessionModel

TIMED = 1000
WARM_UP = 50


def serving_cost(model: SessionModel, prefixes: Prefixes) -> dict[str, float]:
    """predict_cpu_ms_p50 and _p99 over a spread of test prefixes."""
    session = _session(to_onnx(model.encoder))
    chosen = np.linspace(0, len(prefixes) - 1, min(TIMED + WARM_UP, len(prefixes))).astype(int)
    spent = []
    for number in chosen:
        started = time.thread_time()
        _predict(model, session, prefixes.visit(number))
        spent.append((time.thread_time() - started) * 1e3)
    timed = spent[min(WARM_UP, len(spent) - 1) :]
    return {
        "predict_cpu_ms_p50": round(float(np.percentile(timed, 50)), 3),
        "predict_cpu_ms_p99": round(float(np.percentile(timed, 99)), 3),
    }


def _predict(model: SessionModel, session: ort.InferenceSession, visit: np.ndarray) -> None:
    vector = session.run(None, {"items": visit[None].astype(np.int64)})[0][0]  # (E,)
    cosine = model.item_vectors @ vector  # (I,)
    count = min(LISTED, len(cosine))
    best = np.argpartition(-cosine, count - 1)[:count]
    best = best[np.argsort(-cosine[best])]
    shares = np.exp((cosine[best] - 1.0) / model.encoder.settings.temperature)
    fuse([(best, shares), model.neighbours(visit)], model.fusion, limit=LISTED)


def _session(content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
