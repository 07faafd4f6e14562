"""The evaluation job: the answers of the trained models at the start of the holdout, beside the baselines.

All counts (prior, index, histories, segments) are made anew as of `evaluate_from`; the models are the files of the
other jobs, which learnt from nothing later. Writes metrics.json, curves.json and the report.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.contracts.artifacts import (
    CONTENT_VECTORS,
    NEXT_ITEM,
    RANKER,
    SESSION_ENCODER,
    SESSION_INDEX,
    SESSION_ITEM_VECTORS,
)
from recommender.domain.models.arrays import from_npz
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.session_knn import SessionIndex

from training_jobs.environment import CONTENT_ROWS, CURVES, METRICS, JobEnvironment, read_metrics
from training_jobs.evaluate.evaluation import Settings, evaluate
from training_jobs.evaluate.report import write_report
from training_jobs.exports import exports_of
from training_jobs.onnx_models import onnx_function
from training_jobs.session_ranker.fitting import Models, SessionPart
from training_jobs.two_tower.towers import load_towers

CHANNELS = ("content", "two_tower", "session_ranker")


def main(environment: JobEnvironment) -> None:
    """Run the job."""
    started = time.monotonic()
    exports = exports_of(environment)
    models, ranker, rows = _read_models(environment)
    found = evaluate(exports, models, ranker, rows, environment.settings(Settings))
    heads = _heads(environment)
    metrics = {
        **found,
        "heads": heads,
        "notes": [*found["notes"], *_head_notes(heads, found["calibration"])],
        "onnx_parity": _parities(environment),
        "seconds": round(time.monotonic() - started, 1),
    }
    curves = {**_curves(environment), **_reliability_curves(found["calibration"])}
    environment.write_metrics(metrics)
    environment.write_curves(curves)
    write_report(metrics, curves, environment.model_dir)


def _read_models(environment: JobEnvironment) -> tuple[Models, Any, NDArray[np.int32]]:
    """The jobs' files as the parts of a bundle."""
    texts, towers, session = (environment.channel(name) for name in CHANNELS)
    next_item = from_npz(NextItem, (session / NEXT_ITEM).read_bytes())
    index = from_npz(SessionIndex, (session / SESSION_INDEX).read_bytes())
    encoder = onnx_function((session / SESSION_ENCODER).read_bytes())
    models = Models(
        content_vectors=np.load(texts / CONTENT_VECTORS),
        towers=load_towers(towers),
        session=SessionPart(np.load(session / SESSION_ITEM_VECTORS), encoder, next_item),
        knn=index.settings,
    )
    return models, onnx_function((session / RANKER).read_bytes()), np.load(texts / CONTENT_ROWS)


def _parities(environment: JobEnvironment) -> dict[str, Any]:
    """The difference of each ONNX file from its source, as the jobs found it."""
    found: dict[str, Any] = {}
    for name in CHANNELS:
        if (environment.channel(name) / METRICS).is_file():
            found |= read_metrics(environment.channel(name)).get("onnx_parity", {})
    return found


def _heads(environment: JobEnvironment) -> dict[str, Any]:
    """The training data of each head of the ranker, from the session ranker's job."""
    path = environment.channel("session_ranker")
    metrics = read_metrics(path) if (path / METRICS).is_file() else {}
    heads: dict[str, Any] = metrics.get("ranker", {}).get("heads", {})
    return heads


def _head_notes(heads: Mapping[str, Any], calibrated: Mapping[str, Any]) -> list[str]:
    """Notes on the training data of each head, and the calibration of the purchase head in the held-out weeks."""
    notes = [f"The ranker's {name} head was fitted on {found['fitted_on']}." for name, found in heads.items()]
    if "purchase" in calibrated:
        error, base = calibrated["purchase"]["ece"], calibrated["purchase"]["base_rate"]
        notes.append(
            f"In the held-out weeks its purchase probabilities were off by {error:.4f} (share bought {base:.4f})."
        )
    return notes


def _reliability_curves(calibrated: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Predicted and observed shares by tenth of the candidates, the least likely first."""
    bins = calibrated.get("purchase", {}).get("reliability", [])
    series = {name: [entry[place] for entry in bins] for place, name in enumerate(("predicted share", "bought share"))}
    return {"calibration by tenth of the candidates": series} if bins else {}


def _curves(environment: JobEnvironment) -> dict[str, dict[str, list[float]]]:
    """Training curves of the jobs that wrote some."""
    curves: dict[str, dict[str, list[float]]] = {}
    for name in ("content", "two_tower", "session_ranker"):
        path: Path = environment.channel(name) / CURVES
        if path.is_file():
            curves[name] = json.loads(path.read_text())
    return curves


if __name__ == "__main__":
    main(JobEnvironment.from_environment(os.environ))
