"""The evaluation job: what the trained models would have answered at the start of the holdout, beside the baselines.

Everything counted (prior, index, histories, segments) is recounted as of `evaluate_from`; the models are the files
of the other jobs, which learnt nothing from later. Writes metrics.json, curves.json and the report.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
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
from recommender.domain.arrays import from_npz
from recommender.domain.bundle import Bundle
from recommender.domain.next_item import NextItem
from recommender.domain.session_knn import SessionIndex

from training_jobs.baselines import matrix
from training_jobs.environment import METRICS, JobEnvironment, read_metrics
from training_jobs.evaluate.measure import BLIND, Answered, ask, calibration, joined, summary
from training_jobs.evaluate.methods import (
    Method,
    arrival_methods,
    baselines,
    content,
    hybrid,
    no_session,
    stranger_methods,
    two_tower,
)
from training_jobs.evaluate.report import write_report
from training_jobs.evaluate.strata import (
    EVENTS,
    ON_CATEGORY_PAGE,
    Question,
    arrival_questions,
    basket_questions,
    visit_questions,
    window_questions,
)
from training_jobs.exports import Exports, read_exports
from training_jobs.session_ranker.ranker_bundle import SessionModel
from training_jobs.session_ranker.ranker_data import Later
from training_jobs.session_ranker.ranker_fitting import Counted, Models, bought_between, count_until
from training_jobs.two_tower.export import onnx_function
from training_jobs.two_tower.towers import load_towers

CONTENT_ROWS = "content_rows.npy"
CURVES = "curves.json"
AFTER_ALL = timedelta(microseconds=1)
CHANNELS = ("content", "two_tower", "session_ranker")


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters. `shoppers` and `visits` bound who is asked; they are drawn by `seed`."""

    holdout_days: int = 28
    shoppers: int = 300
    visits: int = 150  # baskets that are asked for as visits of a stranger, after 0, 1, 2, 3 and more events
    candidates: int = 600
    seed: int = 1


def main(environment: JobEnvironment) -> None:
    """Run the job."""
    started = time.monotonic()
    settings = environment.settings(Settings)
    exports = read_exports(environment.channel("exports"))
    evaluate_from = exports.data_until - timedelta(days=settings.holdout_days)
    models, ranker, rows = _read_models(environment)
    counted = count_until(exports, evaluate_from, rows)
    bundle = models.bundle(counted, ranker)
    bought = bought_between(exports, evaluate_from, exports.data_until + AFTER_ALL)
    window, baskets = _questions(counted, bought, settings)
    known = _baselines(exports, counted)
    answered = _answers(bundle, known, [*window, *baskets], settings)
    arrived = ask(arrival_methods(bundle, limit=settings.candidates), arrival_questions(window), label="new arrivals")
    rng = np.random.default_rng(settings.seed)
    visits = ask(
        {**_stranger_methods(bundle, settings), "popular_recent": known["popular_recent"]},
        visit_questions(counted.statistics.items, bought, rng, most=settings.visits),
        label="first pageviews",
    )
    margins = None if exports.items["margin_derived"].all() else counted.statistics.items.margin_share
    marks = summary([joined(answered, arrived)], count_items=bundle.count_items, margin_share=margins)
    calibrated = calibration(bundle, window, limit=settings.candidates)
    strangers = summary([visits], count_items=bundle.count_items, margin_share=None)
    metrics = {
        "methods": marks,
        "by_events": _by_events(strangers),
        "first_pageview": _first_pageview(strangers),
        "calibration": calibrated,
        "heads": _heads(environment),
        "coverage": {method: strata["all"]["coverage"] for method, strata in marks.items() if "all" in strata},
        "window": {
            "data_from": exports.data_from.isoformat(),
            "train_until": evaluate_from.isoformat(),
            "data_until": exports.data_until.isoformat(),
            "holdout_days": settings.holdout_days,
        },
        "derived": _derived(exports, has_margins=margins is not None),
        "notes": [
            f"{len(window)} shoppers were asked, {len(baskets)} of them for the rest of a basket.",
            *_said_of_heads(_heads(environment), calibrated),
        ],
        "onnx_parity": _parities(environment),
        "seconds": round(time.monotonic() - started, 1),
    }
    curves = {**_curves(environment), **_reliability_curves(calibrated)}
    environment.write_metrics(metrics)
    (environment.model_dir / CURVES).write_text(json.dumps(curves) + "\n")
    write_report(metrics, curves, environment.model_dir)


def _answers(
    bundle: Bundle, known: Mapping[str, Method], questions: Sequence[Question], settings: Settings
) -> Answered:
    """What the models and the baselines answer to shoppers they know."""
    ranked = hybrid(bundle, limit=settings.candidates)
    methods: dict[str, Method] = {
        "hybrid": ranked,
        BLIND: no_session(ranked),
        "two_tower": two_tower(bundle),
        "content": content(bundle),
        **known,
    }
    return ask(methods, questions, label="evaluate")


def _stranger_methods(bundle: Bundle, settings: Settings) -> dict[str, Method]:
    return {"hybrid": hybrid(bundle, limit=settings.candidates), **stranger_methods(bundle)}


def _read_models(environment: JobEnvironment) -> tuple[Models, Any, NDArray[np.int32]]:
    """The jobs' files as the parts of a bundle."""
    texts, towers, session = (environment.channel(name) for name in CHANNELS)
    next_item = from_npz(NextItem, (session / NEXT_ITEM).read_bytes())
    index = from_npz(SessionIndex, (session / SESSION_INDEX).read_bytes())
    encoder = onnx_function((session / SESSION_ENCODER).read_bytes())
    models = Models(
        content_vectors=np.load(texts / CONTENT_VECTORS),
        towers=load_towers(towers),
        session=SessionModel(np.load(session / SESSION_ITEM_VECTORS), encoder, next_item),
        knn=index.settings,
    )
    return models, onnx_function((session / RANKER).read_bytes()), np.load(texts / CONTENT_ROWS)


def _questions(counted: Counted, bought: Later, settings: Settings) -> tuple[list[Question], list[Question]]:
    """Windows and baskets of a sample of the shoppers."""
    cohorts = counted.segments.of_shopper
    window = window_questions(counted.statistics, bought, cohorts, now_days=counted.now_days)
    if len(window) > settings.shoppers:
        chosen = np.random.default_rng(settings.seed).choice(len(window), settings.shoppers, replace=False)
        window = [window[n] for n in np.sort(chosen)]
    asked = {question.case.shopper_id for question in window}
    baskets = basket_questions(counted.statistics, bought, cohorts, seed=settings.seed)
    return window, [question for question in baskets if question.case.shopper_id in asked]


def _baselines(exports: Exports, counted: Counted) -> dict[str, Method]:
    entries = matrix(counted.statistics.lines, count_items=len(exports.item_ids), now_days=counted.now_days)
    return baselines(counted.statistics, entries, counted.segments, None)


def _by_events(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """method -> number of events seen -> metrics, for shoppers nobody knows."""
    return {
        method: {name.removeprefix("events_"): strata[name] for name in EVENTS if name in strata}
        for method, strata in found.items()
    }


def _first_pageview(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """method -> kind of page -> metrics before the first event."""
    pages = {"any page": EVENTS[0], "category page": ON_CATEGORY_PAGE}
    return {
        method: {page: strata[name] for page, name in pages.items() if name in strata}
        for method, strata in found.items()
    }


def _derived(exports: Exports, *, has_margins: bool) -> list[str]:
    """What the figures do not rest on, or rest on only by a rule."""
    said = []
    if exports.derived:
        said.append("Views, searches and carts are derived from real orders; no figure here is measured on them.")
    if not has_margins:
        said.append("The data record no costs, so there is no margin@10.")
    return said


def _parities(environment: JobEnvironment) -> dict[str, Any]:
    """How far each ONNX file is from its source, as the jobs found it."""
    found: dict[str, Any] = {}
    for name in CHANNELS:
        if (environment.channel(name) / METRICS).is_file():
            found |= read_metrics(environment.channel(name)).get("onnx_parity", {})
    return found


def _heads(environment: JobEnvironment) -> dict[str, Any]:
    """What each head of the ranker was fitted on, as the session ranker's job found it."""
    path = environment.channel("session_ranker")
    metrics = read_metrics(path) if (path / METRICS).is_file() else {}
    heads: dict[str, Any] = metrics.get("ranker", {}).get("heads", {})
    return heads


def _said_of_heads(heads: Mapping[str, Any], calibrated: Mapping[str, Any]) -> list[str]:
    """What each head rests on, and how far the purchase head is from what was bought in the held-out weeks."""
    said = [f"The ranker's {name} head was fitted on {found['fitted_on']}." for name, found in heads.items()]
    if "purchase" in calibrated:
        error, base = calibrated["purchase"]["ece"], calibrated["purchase"]["base_rate"]
        said.append(
            f"In the held-out weeks its purchase probabilities were off by {error:.4f} (share bought {base:.4f})."
        )
    return said


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
