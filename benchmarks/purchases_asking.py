"""What the purchases benchmark asks of whom: known shoppers, strangers, and everybody for new arrivals alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recommender.contracts.fields import problem
from recommender.domain.bundle import Bundle

from benchmarks.peers import bridge
from benchmarks.purchases_models import History, tune_ials
from benchmarks.purchases_peers import ask_peers
from training_jobs.baselines import matrix
from training_jobs.evaluate.measure import Answered, ask, joined
from training_jobs.evaluate.methods import Method, arrival_methods, baselines, learnt_methods, stranger_methods
from training_jobs.evaluate.strata import (
    Question,
    arrival_questions,
    basket_questions,
    visit_questions,
    window_questions,
)
from training_jobs.session_ranker.ranker_fitting import bought_between

BASKET_SEED = 0  # which three items of a basket are shown is the same for every seed of the models


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions: of known shoppers, of the new arrivals alone, and of strangers."""

    known: list[Question]
    arrivals: list[Question]
    strangers: list[Question]


def questions_of(history: History, visits: int) -> Asked:
    """Every shopper of the test window, and at most `visits` orders of strangers. InvalidInput where it is empty."""
    data, counted = history.data, history.at("valid_until")
    bought = bought_between(data.exports, data.valid_until, data.test_until)
    if not bought.by_shopper:
        raise problem("--test-until", data.test_until, "a window in which something was bought")
    cohorts = counted.segments.of_shopper
    windows = window_questions(counted.statistics, bought, cohorts, now_days=counted.now_days)
    baskets = basket_questions(counted.statistics, bought, cohorts, seed=BASKET_SEED)
    rng = np.random.default_rng(BASKET_SEED)
    strangers = visit_questions(counted.statistics.items, bought, rng, most=visits)
    return Asked([*windows, *baskets], arrival_questions(windows), strangers)


def fixed_methods(history: History) -> tuple[dict[str, Method], dict[str, float]]:
    """The baselines, tuned before the test and refitted at its start."""
    tuned, marks = tune_ials(history)
    counted = history.at("valid_until")
    entries = matrix(counted.statistics.lines, count_items=len(counted.statistics.item_ids), now_days=counted.now_days)
    return baselines(counted.statistics, entries, counted.segments, tuned), marks


def peers_answers(history: History, asked: Asked, chosen: Path | None) -> tuple[Answered, dict[str, Any]]:
    """What the published libraries answer, where an environment with them is given."""
    if chosen is None:
        return {}, {}
    data, counted = history.data, history.at("train_until")
    bought = bought_between(data.exports, data.train_until, data.valid_until)
    tail = window_questions(counted.statistics, bought, counted.segments.of_shopper, now_days=counted.now_days)
    return ask_peers(
        bridge.interpreter(str(chosen)),
        tail=(counted.statistics, tail),
        test=(history.at("valid_until").statistics, asked.known),
    )


def learnt_answers(bundle: Bundle, asked: Asked, limit: int, *, label: str) -> Answered:
    """What the models answer; the baselines of new arrivals and visits that read the bundle stand among them."""
    return joined(
        ask(learnt_methods(bundle, limit=limit), asked.known, label=label),
        ask(arrival_methods(bundle, limit=limit), asked.arrivals, label=f"{label}, new arrivals"),
        ask(stranger_methods(bundle, limit=limit), asked.strangers, label=f"{label}, strangers"),
    )
