"""The questions of an evaluation: who is asked when, what is known, and what was bought afterwards.

`all`            everything a shopper bought in the test window, asked at its start
`new`            of it, what the shopper had not bought before; owned items are left out of every method's list
`cold_items`     of it, items that nobody had bought before; the full catalogue is ranked all the same
`cold_shoppers`  shoppers without a purchase before the window
`in_basket`      the first order of each shopper in the window: three of its items are shown, the rest is asked for
`visit_<n>`      the same orders asked by somebody unknown after n items (first pageview: n = 0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Rows
from recommender.domain.shopper import UNKNOWN_COHORT
from recommender.domain.visitor import Seen

from training_jobs.session_ranker.ranker_data import (
    EMPTY_ROWS,
    NOT_SEEN,
    Case,
    Later,
    as_stranger,
    in_cart,
    owned_of,
    window_cases,
)
from training_jobs.session_ranker.statistics import Statistics

WINDOW_STRATA = ("all", "new", "cold_items", "cold_shoppers")
SHOWN = 3
FEWEST_IN_BASKET = SHOWN + 1
VISITS = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Question:
    """One request, the targets of each stratum it counts in, and what its lists must not hold."""

    case: Case
    targets: Mapping[str, Rows]  # stratum -> targets, at least one
    excluded: Mapping[str, Rows]  # stratum -> rows left out


def window_questions(
    statistics: Statistics, bought: Later, cohorts: Mapping[str, int], *, now_days: float
) -> list[Question]:
    """Every shopper of the window at its start."""
    known = np.bincount(statistics.lines.item, minlength=len(statistics.item_ids)) > 0  # (I,)
    cases = window_cases(statistics.histories, bought, dict(cohorts), now_days=now_days)
    return [question for case in cases if (question := _window_question(case, known)).targets]


def basket_questions(statistics: Statistics, bought: Later, cohorts: Mapping[str, int], *, seed: int) -> list[Question]:
    """The first order with at least four items of each shopper of the window, three of them in the cart."""
    rng = np.random.default_rng(seed)
    return [
        Question(
            Case(
                shopper_id,
                owned_of(statistics.histories, shopper_id),
                in_cart(shown),
                cohorts.get(shopper_id, UNKNOWN_COHORT),
                day,
                rest,
            ),
            {"in_basket": rest},
            {"in_basket": shown},
        )
        for shopper_id, day, shown, rest in _baskets(bought, rng)
    ]


def visit_questions(questions: list[Question]) -> list[Question]:
    """The baskets asked by strangers after 0, 1, 2 or 3 of the shown items; the targets stay the rest."""
    return [
        Question(
            as_stranger(replace(question.case, seen=_first(question.case, count))),
            {f"visit_{count}": question.case.targets},
            {f"visit_{count}": question.case.seen.anchors[:count]},
        )
        for question in questions
        for count in VISITS
    ]


def without_visit(case: Case) -> Case:
    """The same shopper at the same moment, before the visit's first event."""
    return replace(case, seen=NOT_SEEN)


def _window_question(case: Case, known: NDArray[np.bool_]) -> Question:
    everything = case.targets
    targets = {
        "all": everything,
        "new": np.setdiff1d(everything, case.owned.rows),
        "cold_items": everything[~known[everything]],
        "cold_shoppers": everything if not len(case.owned.rows) else EMPTY_ROWS,
    }
    return Question(case, {name: rows for name, rows in targets.items() if len(rows)}, {"new": case.owned.rows})


def _baskets(bought: Later, rng: np.random.Generator) -> Iterator[tuple[str, float, Rows, Rows]]:
    """(shopper, day, shown, rest)."""
    for shopper_id in sorted(bought.by_shopper):
        orders = ((day, rows) for day, rows in bought.orders(shopper_id) if len(rows) >= FEWEST_IN_BASKET)
        day, rows = next(orders, (0.0, EMPTY_ROWS))
        if len(rows):
            mixed = rng.permutation(rows).astype(np.int32)
            yield shopper_id, day, mixed[:SHOWN], np.sort(mixed[SHOWN:])


def _first(case: Case, count: int) -> Seen:
    return in_cart(case.seen.anchors[:count]) if count else NOT_SEEN
