"""The questions of the purchases benchmark, and the answers of baselines, models, ablated rankers and peers.

A question counts in several strata with different exclusions, so each of them is a question of its own for the peers; a
history is every earlier line of the shopper in order of time, then the items that the visit has shown. Peers choose
their settings on items new to the shopper in the validation window, as our own iALS does. An ablated ranker is fitted
again on the same requests with a member's features held at their mean; candidates stay as they are, so the ablation
covers what a member adds to the ranker, not its proposals. Letters: C candidates, F features.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.contracts.fields import problem
from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.features import FEATURES
from tqdm import tqdm

from benchmarks.peers import bridge
from benchmarks.peers.exchange import Ragged, Split, nothing, ragged
from benchmarks.purchases.models import Fitted, History, tune_ials
from training_jobs.baselines import matrix
from training_jobs.counting.counts import Statistics
from training_jobs.counting.lines import bought_between
from training_jobs.evaluate.evaluation import NOTHING, Answered, Answers, joined, run_methods
from training_jobs.evaluate.methods import Method, arrival_methods, baselines, learnt_methods, listed, stranger_methods
from training_jobs.evaluate.questions import (
    Question,
    arrival_questions,
    basket_questions,
    visit_questions,
    window_questions,
)
from training_jobs.metrics import LISTED, ndcg, recall
from training_jobs.session_ranker.data import score_rows
from training_jobs.session_ranker.fitting import RankerPlan
from training_jobs.session_ranker.ranker import as_function, train_ranker

TUNED_ON = "new"
BASKET_SEED = 0  # which three items of a basket are shown is the same for every seed of the models
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "two_tower": ("tower",),
    "content": ("content_taste", "visit_content"),
    "session_knn": ("visit_sessions",),
    "session_encoder": ("visit_encoder",),
    "co_purchase": ("history_partners", "history_partners_lift", "visit_partners"),
    "posterior": ("preference_mean", "preference_variance"),
    "own_history": tuple(name for name in FEATURES if name.startswith(("own_", "is_owned", "days_since_own"))),
    "prior_and_trend": ("log_prior", "trend", "popularity", "category_prior"),
    "first_purchases": ("tried", "tried_by_taste", "first_share", "first_in_category"),
    "category_habits": ("category_share", "category_lift", "department_share", "brand_share"),
    "complements": ("visit_complement", "visit_best_complement"),
    "cohorts": ("cohort_rank",),
}
QUESTION_STEP: Final = 3  # every third question is used
GROUP_STEP: Final = 2  # and every second request of the training
STRATA: Final = ("all", "new", "in_basket")


def peer_answers(
    python: Path,
    *,
    tail: tuple[Statistics, Sequence[Question]],
    test: tuple[Statistics, Sequence[Question]],
    methods: Sequence[str] = bridge.METHODS,
    kept: Path = bridge.KEPT,
) -> tuple[Answered, dict[str, Any]]:
    """Answers of every peer, with its choices and cost.

    `tail` and `test` are the counts and the questions of a moment; the tail's are sampled.
    """
    tuning = [(question, stratum) for question, stratum in _pairs(tail[1]) if stratum == TUNED_ON]
    chosen = np.random.default_rng(0).permutation(len(tuning))[: bridge.TAIL_QUESTIONS]
    pairs = _pairs(test[1])
    found = bridge.fetch_lists(
        python,
        tail=split_of(tail[0], [tuning[n] for n in chosen]),
        test=split_of(test[0], pairs),
        methods=methods,
        kept=kept,
    )
    answered: Answered = {method: {} for method in methods}
    for method, lists in found.items():
        for (question, stratum), row in zip(pairs, lists.rows, strict=True):
            answers = answered[method].setdefault(stratum, Answers())
            answers.lists.append(row[row >= 0])
            answers.targets.append(question.targets[stratum])
    return answered, {method: lists.facts for method, lists in found.items()}


def _pairs(questions: Sequence[Question]) -> list[tuple[Question, str]]:
    return [(question, stratum) for question in questions for stratum in question.targets]


def split_of(statistics: Statistics, pairs: Sequence[tuple[Question, str]]) -> Split:
    """The counts of a moment as train, and its questions."""
    lines = statistics.lines
    order = np.argsort(lines.shopper, kind="stable")
    offsets = np.searchsorted(lines.shopper[order], np.arange(len(lines.shopper_ids) + 1)).astype(np.int64)
    train = Ragged(offsets, lines.item[order].astype(np.int32))
    return Split(
        len(statistics.item_ids),
        LISTED,
        train,
        ragged([_history(question, train, statistics) for question, _ in pairs]),
        ragged([question.excluded.get(stratum, NOTHING) for question, stratum in pairs]),
        ragged([question.targets[stratum] for question, stratum in pairs]) if pairs else nothing(0),
    )


def _history(question: Question, train: Ragged, statistics: Statistics) -> Rows:
    """The known items of a question; a stranger's purchases are unknown."""
    case = question.case
    number = statistics.histories.numbers.get(case.shopper_id, -1)
    bought = train.of(number) if number >= 0 and len(case.owned.rows) else NOTHING
    return np.concatenate([bought, case.seen.rows]).astype(np.int32)


@dataclass(frozen=True, slots=True)
class QuestionSets:
    """Questions of known shoppers, about the new arrivals alone, and of strangers."""

    known: list[Question]
    arrivals: list[Question]
    strangers: list[Question]


def questions_of(history: History, visits: int) -> QuestionSets:
    """Every shopper of the test window, and at most `visits` orders of strangers. Raises InvalidInput without any."""
    data, counted = history.data, history.at("valid_until")
    bought = bought_between(data.exports, data.valid_until, data.test_until)
    if not bought.by_shopper:
        raise problem("--test-until", data.test_until, "a window in which something was bought")
    cohorts = counted.segments.of_shopper
    windows = window_questions(counted.statistics, bought, cohorts, now_days=counted.now_days)
    baskets = basket_questions(counted.statistics, bought, cohorts, seed=BASKET_SEED)
    rng = np.random.default_rng(BASKET_SEED)
    strangers = visit_questions(counted.statistics.items, bought, rng, most=visits)
    return QuestionSets([*windows, *baskets], arrival_questions(windows), strangers)


def fixed_methods(history: History) -> tuple[dict[str, Method], dict[str, float]]:
    """The baselines, tuned before the test and refitted at its start."""
    tuned, metrics = tune_ials(history)
    counted = history.at("valid_until")
    entries = matrix(counted.statistics.lines, count_items=len(counted.statistics.item_ids), now_days=counted.now_days)
    return baselines(counted.statistics, entries, counted.segments, tuned), metrics


def optional_peer_answers(
    history: History, questions: QuestionSets, python: Path | None
) -> tuple[Answered, dict[str, Any]]:
    """The answers of the published libraries, where an environment with them is given."""
    if python is None:
        return {}, {}
    data, counted = history.data, history.at("train_until")
    bought = bought_between(data.exports, data.train_until, data.valid_until)
    tail = window_questions(counted.statistics, bought, counted.segments.of_shopper, now_days=counted.now_days)
    return peer_answers(
        bridge.interpreter(str(python)),
        tail=(counted.statistics, tail),
        test=(history.at("valid_until").statistics, questions.known),
    )


def learnt_answers(bundle: Bundle, questions: QuestionSets, limit: int, *, label: str) -> Answered:
    """The answers of the models, and of the baselines of new arrivals and visits that read the bundle."""
    return joined(
        run_methods(learnt_methods(bundle, limit=limit), questions.known, label=label),
        run_methods(arrival_methods(bundle, limit=limit), questions.arrivals, label=f"{label}, new arrivals"),
        run_methods(stranger_methods(bundle, limit=limit), questions.strangers, label=f"{label}, strangers"),
    )


def ablation(fitted: Fitted, questions: Sequence[Question], plan: RankerPlan) -> dict[str, Any]:
    """`everything` and `without <member>` -> stratum -> metrics."""
    cached = [
        (question, *score_rows(fitted.bundle, question.case, limit=plan.candidates))
        for question in questions[::QUESTION_STEP]
    ]
    found = {"everything": _refitted(fitted, cached, (), plan)}
    for member, names in tqdm(MEMBERS.items(), desc="ablation", file=sys.stderr):
        dropped = tuple(FEATURES.index(name) for name in names if name in FEATURES)
        if dropped:
            found[f"without {member}"] = _refitted(fitted, cached, dropped, plan)
    return found


def _refitted(
    fitted: Fitted, cached: Sequence[tuple[Question, Rows, Floats]], dropped: tuple[int, ...], plan: RankerPlan
) -> dict[str, dict[str, float]]:
    """Metrics of a ranker that was fitted without these columns."""
    means = np.concatenate([group.features for group in fitted.groups[:500]]).mean(axis=0)
    groups = [
        replace(group, features=_without(group.features, dropped, means)) for group in fitted.groups[::GROUP_STEP]
    ]
    score = as_function(train_ranker(groups, plan.training).module)
    metrics: dict[str, list[tuple[float, float]]] = {stratum: [] for stratum in STRATA}
    for question, rows, features in cached:
        scores = score({"features": _without(features, dropped, means)})["score"]
        for stratum in set(STRATA) & set(question.targets):
            best = listed((rows, scores), question.excluded.get(stratum, np.empty(0, np.int32)))
            metrics[stratum].append((recall(best, question.targets[stratum]), ndcg(best, question.targets[stratum])))
    return {
        stratum: dict(zip(("recall@20", "ndcg@20"), np.mean(found, axis=0).round(5).tolist(), strict=True))
        for stratum, found in metrics.items()
        if found
    }


def _without(features: Floats, dropped: tuple[int, ...], means: Floats) -> Floats:
    if not dropped:
        return features
    held = features.copy()
    held[:, dropped] = means[list(dropped)]
    return held
