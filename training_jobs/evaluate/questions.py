"""The questions of an evaluation: requests with their targets, by stratum.

`all`            all purchases of a shopper in the test window, requested at its start
`new`            those of them that the shopper had never bought; owned items are left out of every list
`cold_items`     those that nobody had bought before, ranked among all such items (a module of new arrivals)
`cold_items_full`  the same targets, ranked in the full catalogue
`cold_shoppers`  shoppers without a purchase before the window
`in_basket`      the first order of each shopper in the window: three of its items are shown, the rest are targets
`events_<n>`     an order of an unknown visitor after n of its items (first pageview: n = 0); an item shown for
                 any n is never a target, so every n has the same targets
`events_0_category`  the same, before any item, on the page of the category of one of the targets
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Rows
from recommender.domain.models.bundle import ItemTable
from recommender.domain.serving.visit import UNKNOWN_COHORT
from recommender.domain.serving.visitor import NOTHING_OWNED

from training_jobs.counting.counts import Statistics
from training_jobs.counting.lines import Bought
from training_jobs.session_ranker.data import EMPTY_ROWS, NOT_SEEN, Case, in_cart, owned_of, window_cases

SHOWN = 3
FEWEST_IN_BASKET = SHOWN + 1
VISITS = (0, 1, 2, 3, 4)  # items shown; the last stands for four and more
SHOWN_TO_STRANGERS = 6
EVENTS = ("events_0", "events_1", "events_2", "events_3", "events_4plus")
ON_CATEGORY_PAGE = "events_0_category"


@dataclass(frozen=True, slots=True)
class Question:
    """One request, its targets in each stratum, and the items that its lists must not hold."""

    case: Case
    targets: Mapping[str, Rows]  # stratum -> targets, at least one
    excluded: Mapping[str, Rows]  # stratum -> rows left out


def window_questions(
    statistics: Statistics, bought: Bought, cohorts: Mapping[str, int], *, now_days: float
) -> list[Question]:
    """Every shopper of the window at its start."""
    known = np.bincount(statistics.lines.item, minlength=len(statistics.item_ids)) > 0  # (I,)
    cases = window_cases(statistics.histories, bought, dict(cohorts), now_days=now_days)
    return [question for case in cases if (question := _window_question(case, known)).targets]


def basket_questions(
    statistics: Statistics, bought: Bought, cohorts: Mapping[str, int], *, seed: int
) -> list[Question]:
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


def arrival_questions(windows: Sequence[Question]) -> list[Question]:
    """The windows that hold cold items, with these as the only targets."""
    return [
        Question(question.case, {"cold_items": question.targets["cold_items_full"]}, {})
        for question in windows
        if "cold_items_full" in question.targets
    ]


def visit_questions(items: ItemTable, bought: Bought, rng: np.random.Generator, *, most: int) -> list[Question]:
    """The first large order of at most `most` shoppers, as strangers after 0, 1, 2, 3 and 4 to 6 of its items."""
    orders: list[tuple[float, Rows]] = []
    for shopper_id in sorted(bought.by_shopper):
        large = ((day, rows) for day, rows in bought.orders(shopper_id) if len(rows) > max(VISITS))
        orders += [order for order in [next(large, None)] if order]
    chosen = np.sort(rng.permutation(len(orders))[:most])
    return [question for n in chosen for question in _by_events(items, orders[n], rng)]


def _by_events(items: ItemTable, order: tuple[float, Rows], rng: np.random.Generator) -> Iterator[Question]:
    day, rows = order
    mixed = rng.permutation(rows).astype(np.int32)
    longest = min(int(rng.integers(max(VISITS), SHOWN_TO_STRANGERS + 1)), len(mixed) - 1)
    rest = np.sort(mixed[longest:])
    for name, count in zip(EVENTS, VISITS, strict=True):
        shown = mixed[: longest if count == max(VISITS) else count]
        case = Case("", NOTHING_OWNED, in_cart(shown) if count else NOT_SEEN, UNKNOWN_COHORT, day, rest)
        yield Question(case, {name: rest}, {name: shown})
    category = bytes(items.categories[items.category[rest[0]]]).decode()
    page = Case("", NOTHING_OWNED, NOT_SEEN, UNKNOWN_COHORT, day, rest, category)
    yield Question(page, {ON_CATEGORY_PAGE: rest}, {})


def without_visit(case: Case) -> Case:
    """The same shopper at the same moment, before the visit's first event."""
    return replace(case, seen=NOT_SEEN)


def _window_question(case: Case, known: NDArray[np.bool_]) -> Question:
    everything = case.targets
    targets = {
        "all": everything,
        "new": np.setdiff1d(everything, case.owned.rows),
        "cold_items_full": everything[~known[everything]],
        "cold_shoppers": everything if not len(case.owned.rows) else EMPTY_ROWS,
    }
    return Question(case, {name: rows for name, rows in targets.items() if len(rows)}, {"new": case.owned.rows})


def _baskets(bought: Bought, rng: np.random.Generator) -> Iterator[tuple[str, float, Rows, Rows]]:
    """(shopper, day, shown, rest)."""
    for shopper_id in sorted(bought.by_shopper):
        orders = ((day, rows) for day, rows in bought.orders(shopper_id) if len(rows) >= FEWEST_IN_BASKET)
        day, rows = next(orders, (0.0, EMPTY_ROWS))
        if len(rows):
            mixed = rng.permutation(rows).astype(np.int32)
            yield shopper_id, day, mixed[:SHOWN], np.sort(mixed[SHOWN:])
