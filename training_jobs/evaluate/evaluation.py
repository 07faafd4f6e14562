"""Evaluates models as of a moment: methods answer questions, and metrics compare the answers with later purchases.

The moment is `holdout_days` before the end of the data; no model has learnt from anything later. Runs of several seeds
are averaged for each shopper.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle, Model
from tqdm import tqdm

from training_jobs.baselines import matrix
from training_jobs.counting.lines import Bought, bought_between
from training_jobs.evaluate.methods import (
    BLIND,
    Method,
    arrival_methods,
    baselines,
    learnt_methods,
    listed,
    stranger_methods,
)
from training_jobs.evaluate.questions import (
    EVENTS,
    ON_CATEGORY_PAGE,
    Question,
    arrival_questions,
    basket_questions,
    visit_questions,
    window_questions,
)
from training_jobs.exports import Exports
from training_jobs.intervals import Estimate, ratio
from training_jobs.metrics import recall_by_shopper, summarise
from training_jobs.session_ranker.calibration import reliability
from training_jobs.session_ranker.data import score_rows
from training_jobs.session_ranker.fitting import JUST_AFTER, Counted, Models, count_until

NOTHING: Rows = np.empty(0, np.int32)
BOOTSTRAP_SEED = 20_171_127


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters. `shoppers` and `visits` limit the samples, which are drawn by `seed`."""

    holdout_days: int = 28
    shoppers: int = 300
    visits: int = 150  # baskets that serve as visits of a stranger, after 0, 1, 2, 3 and more events
    candidates: int = 600
    seed: int = 1


def evaluate(
    exports: Exports, models: Models, ranker: Model, content_rows: NDArray[np.integer], settings: Settings
) -> dict[str, Any]:
    """The metrics of every method on every stratum and on first pageviews, and the calibration.

    `content_rows` (I,) are the text of each item.
    """
    evaluate_from = exports.data_until - timedelta(days=settings.holdout_days)
    counted = count_until(exports, evaluate_from, content_rows)
    bundle = models.bundle(counted, ranker)
    bought = bought_between(exports, evaluate_from, exports.data_until + JUST_AFTER)
    window, baskets = _questions(counted, bought, settings)
    known, limit = _baselines(exports, counted), settings.candidates
    answered = run_methods({**learnt_methods(bundle, limit=limit), **known}, [*window, *baskets], label="evaluate")
    arrived = run_methods(arrival_methods(bundle, limit=limit), arrival_questions(window), label="new arrivals")
    rng = np.random.default_rng(settings.seed)
    visits = run_methods(
        {**stranger_methods(bundle, limit=limit), "popular_recent": known["popular_recent"]},
        visit_questions(counted.statistics.items, bought, rng, most=settings.visits),
        label="first pageviews",
    )
    margins = None if exports.items["margin_derived"].all() else counted.statistics.items.margin_share
    metrics = summary([joined(answered, arrived)], count_items=bundle.count_items, margin_share=margins)
    strangers = summary([visits], count_items=bundle.count_items, margin_share=None)
    return {
        "methods": metrics,
        "by_events": _selected(strangers, {name.removeprefix("events_"): name for name in EVENTS}),
        "first_pageview": _selected(strangers, {"any page": EVENTS[0], "category page": ON_CATEGORY_PAGE}),
        "calibration": calibration(bundle, window, limit=limit),
        "coverage": {method: strata["all"]["coverage"] for method, strata in metrics.items() if "all" in strata},
        "window": {
            "data_from": exports.data_from.isoformat(),
            "train_until": evaluate_from.isoformat(),
            "data_until": exports.data_until.isoformat(),
            "holdout_days": settings.holdout_days,
        },
        "derived": _derived(exports, has_margins=margins is not None),
        "notes": [f"{len(window)} shoppers are in the sample, {len(baskets)} of them with a basket."],
    }


def _questions(counted: Counted, bought: Bought, settings: Settings) -> tuple[list[Question], list[Question]]:
    """Windows and baskets of a sample of the shoppers."""
    cohorts = counted.segments.of_shopper
    window = window_questions(counted.statistics, bought, cohorts, now_days=counted.now_days)
    if len(window) > settings.shoppers:
        chosen = np.random.default_rng(settings.seed).choice(len(window), settings.shoppers, replace=False)
        window = [window[n] for n in np.sort(chosen)]
    sample = {question.case.shopper_id for question in window}
    baskets = basket_questions(counted.statistics, bought, cohorts, seed=settings.seed)
    return window, [question for question in baskets if question.case.shopper_id in sample]


def _baselines(exports: Exports, counted: Counted) -> dict[str, Method]:
    entries = matrix(counted.statistics.lines, count_items=len(exports.item_ids), now_days=counted.now_days)
    return baselines(counted.statistics, entries, counted.segments, None)


def _selected(found: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """method -> name -> metrics of the stratum behind the name."""
    return {
        method: {name: strata[stratum] for name, stratum in names.items() if stratum in strata}
        for method, strata in found.items()
    }


def _derived(exports: Exports, *, has_margins: bool) -> list[str]:
    """Notes on figures that derived data do not support."""
    notes = []
    if exports.derived:
        notes.append("Views, searches and carts are derived from real orders; no figure here is measured on them.")
    if not has_margins:
        notes.append("The data record no costs, so there is no margin@10.")
    return notes


@dataclass(frozen=True, slots=True)
class Answers:
    """Lists and targets of one stratum, parallel, one entry a shopper."""

    lists: list[Rows] = field(default_factory=list)
    targets: list[Rows] = field(default_factory=list)


Answered = dict[str, dict[str, Answers]]  # method -> stratum -> answers


def run_methods(methods: Mapping[str, Method], questions: Sequence[Question], *, label: str) -> Answered:
    """The answers of every method to every question; a request is scored once and listed for each of its strata."""
    answered: Answered = {name: {} for name in methods}
    for question in tqdm(questions, desc=label, unit="shopper", file=sys.stderr, mininterval=2.0):
        for name, method in methods.items():
            if name == BLIND and not len(question.case.seen.rows):
                continue
            scored = method(question.case)
            for stratum, targets in question.targets.items():
                answers = answered[name].setdefault(stratum, Answers())
                answers.lists.append(listed(scored, question.excluded.get(stratum, NOTHING)))
                answers.targets.append(targets)
    return answered


def joined(*parts: Answered) -> Answered:
    """The answers of several parts; a method has the strata of all parts."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: {k: v for part in parts for k, v in part.get(name, {}).items()} for name in names}


def calibration(bundle: Bundle, questions: Sequence[Question], *, limit: int) -> dict[str, Any]:
    """The distance of the purchase head from the purchases in a window that training has not seen."""
    scored, hits = [], []
    for question in questions:
        rows, features = score_rows(bundle, question.case, limit=limit)
        scored.append(bundle.ranker({"features": features})["score"])
        hits.append(np.isin(rows, question.case.targets))
    if not scored:
        return {}
    return {"purchase": reliability(np.concatenate(scored), np.concatenate(hits)).to_json()}


def summary(
    runs: Sequence[Answered], *, count_items: int, margin_share: Floats | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """methods -> strata -> metrics over runs (seeds) that answered the same questions; `margin_share` (I,)."""
    return {
        method: {
            stratum: summarise(
                [run[method][stratum].lists for run in runs],
                runs[0][method][stratum].targets,
                count_items=count_items,
                rng=np.random.default_rng(BOOTSTRAP_SEED),
                margin_share=margin_share,
            )
            for stratum in runs[0][method]
        }
        for method in runs[0]
    }


def recall_ratio(above: Sequence[Answers], below: Sequence[Answers]) -> Estimate | None:
    """Recall@20 of one method over that of another on the same shoppers, with its interval."""
    means = [np.mean([recall_by_shopper(run.lists, run.targets) for run in runs], axis=0) for runs in (above, below)]
    return ratio(means[0], means[1], BOOTSTRAP_SEED)
