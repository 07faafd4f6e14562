"""What the purchases benchmark asks of whom: known shoppers, strangers, and everybody for new arrivals alone.

The purchases benchmark's split for the peers, and their lists as its answers.

A history is every line the shopper bought before the moment, in order of time, followed by what the visit has shown.
A question counts in several strata with different exclusions, so each of them is a question of its own. The peers
choose their settings on items new to the shopper in the validation window, as our own iALS does.

What each member adds: the ranker fitted again without the features that a member gives, on the same requests.

A dropped feature is held at its mean, in training and in asking; candidates stay as they are, so what is measured is
what the member tells the ranker, not what it proposes. Letters: C candidates, F features.
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
from training_jobs.evaluate.evaluation import NOTHING, Answered, Answers, ask, joined
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


def ask_peers(
    python: Path,
    *,
    tail: tuple[Statistics, Sequence[Question]],
    test: tuple[Statistics, Sequence[Question]],
    methods: Sequence[str] = bridge.METHODS,
    kept: Path = bridge.KEPT,
) -> tuple[Answered, dict[str, Any]]:
    """Answers of every peer, and what each chose and cost.

    `tail` and `test` are what was counted at a moment and the questions asked then; the tail's are sampled.
    """
    tuning = [(question, stratum) for question, stratum in _pairs(tail[1]) if stratum == TUNED_ON]
    chosen = np.random.default_rng(0).permutation(len(tuning))[: bridge.TAIL_QUESTIONS]
    pairs = _pairs(test[1])
    found = bridge.ask(
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
    """What was counted at a moment as train, and the questions asked then."""
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
    """What is known of whoever asks; a stranger's purchases are not."""
    case = question.case
    number = statistics.histories.numbers.get(case.shopper_id, -1)
    bought = train.of(number) if number >= 0 and len(case.owned.rows) else NOTHING
    return np.concatenate([bought, case.seen.rows]).astype(np.int32)


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
ASKED_EACH: Final = 3  # every third question is asked again
FITTED_EACH: Final = 2  # and every second request learnt from
STRATA: Final = ("all", "new", "in_basket")


def ablation(fitted: Fitted, questions: Sequence[Question], plan: RankerPlan) -> dict[str, Any]:
    """`everything` and `without <member>` -> stratum -> metrics."""
    cached = [
        (question, *score_rows(fitted.bundle, question.case, limit=plan.candidates))
        for question in questions[::ASKED_EACH]
    ]
    found = {"everything": _asked(fitted, cached, (), plan)}
    for member, names in tqdm(MEMBERS.items(), desc="ablation", file=sys.stderr):
        dropped = tuple(FEATURES.index(name) for name in names if name in FEATURES)
        if dropped:
            found[f"without {member}"] = _asked(fitted, cached, dropped, plan)
    return found


def _asked(
    fitted: Fitted, cached: Sequence[tuple[Question, Rows, Floats]], dropped: tuple[int, ...], plan: RankerPlan
) -> dict[str, dict[str, float]]:
    """Marks of a ranker that was fitted without these columns."""
    means = np.concatenate([group.features for group in fitted.groups[:500]]).mean(axis=0)
    groups = [
        replace(group, features=_without(group.features, dropped, means)) for group in fitted.groups[::FITTED_EACH]
    ]
    score = as_function(train_ranker(groups, plan.training).module)
    marks: dict[str, list[tuple[float, float]]] = {stratum: [] for stratum in STRATA}
    for question, rows, features in cached:
        scores = score({"features": _without(features, dropped, means)})["score"]
        for stratum in set(STRATA) & set(question.targets):
            best = listed((rows, scores), question.excluded.get(stratum, np.empty(0, np.int32)))
            marks[stratum].append((recall(best, question.targets[stratum]), ndcg(best, question.targets[stratum])))
    return {
        stratum: dict(zip(("recall@20", "ndcg@20"), np.mean(found, axis=0).round(5).tolist(), strict=True))
        for stratum, found in marks.items()
        if found
    }


def _without(features: Floats, dropped: tuple[int, ...], means: Floats) -> Floats:
    if not dropped:
        return features
    held = features.copy()
    held[:, dropped] = means[list(dropped)]
    return held
