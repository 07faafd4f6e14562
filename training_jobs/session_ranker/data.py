"""Labelled candidates for the ranker: the knowledge at a moment of the past, and the purchases after it.

Each group is one request. `window` groups stand at a cut and have all purchases of the following weeks as targets;
`visit` groups stand at an order, with one to four of its items shown, and have the rest of it; `stranger` groups hide
the shopper's history, so that the ranker has seen first-time visitors; `arrival` groups stand at a cut and have the
items that nobody had bought. Features are as of the cut: counts end there, and the towers were trained before the first
cut. Letters: C candidates, F features, I items.

Decisions: docs/decisions/ranker.md (023).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from recommender.domain.models.arrays import Flags, Floats, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.posterior import STRENGTHS
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.arrivals import arrival_scores, arrivals
from recommender.domain.serving.candidates import candidate_rows, top_rows
from recommender.domain.serving.features import features_of
from recommender.domain.serving.signals import Signals, gather
from recommender.domain.serving.visit import UNKNOWN_COHORT
from recommender.domain.serving.visitor import NOTHING_OWNED, Owned, Seen

from training_jobs.counting.lines import Bought, Histories

EMPTY_ROWS: Rows = np.empty(0, np.int32)
NOT_SEEN = Seen(EMPTY_ROWS, np.empty(0, np.float32), np.empty(0, np.float32), EMPTY_ROWS, EMPTY_ROWS)
STRANGERS = 0.1  # share of the requests whose history is hidden
FEWEST_IN_ORDER = 4  # items of an order that some can be shown of


@dataclass(frozen=True, slots=True)
class Case:
    """One request with its outcome."""

    shopper_id: str
    owned: Owned
    seen: Seen
    cohort: int
    now_days: float
    targets: Rows  # the purchases, distinct and sorted
    category: str | None = None  # of the category page that it comes from


@dataclass(frozen=True, slots=True)
class Group:
    """The candidates of one request."""

    features: Floats  # (C, F)
    is_bought: Flags  # (C,)
    is_owned: Flags  # (C,)
    is_clicked: Flags | None = None  # (C,) of a recorded visit; None: nobody recorded it
    is_carted: Flags | None = None  # (C,)


def owned_of(histories: Histories, shopper_id: str) -> Owned:
    """A shopper's history in rows, as serving builds it from ids."""
    span = histories.entries(shopper_id)
    rows = histories.rows[span]
    if not len(rows):
        return NOTHING_OWNED
    order = np.argsort(rows, kind="stable")
    return Owned(
        rows[order],
        histories.orders[span][order].astype(np.float64),
        histories.last_on[span][order],
        histories.first_on[span][order],
        histories.recent[span][order],
        int(histories.count_orders[histories.numbers[shopper_id]]),
    )


def in_cart(rows: Rows) -> Seen:
    """A visit that has put these rows (N,) in the cart."""
    return _visit(rows, "add_to_cart", anchors=rows)


def looked_at(rows: Rows) -> Seen:
    """A visit that has looked at these rows (N,)."""
    return _visit(rows, "view_item", anchors=EMPTY_ROWS)


def _visit(rows: Rows, event_name: str, *, anchors: Rows) -> Seen:
    strength = STRENGTHS[event_name]
    return Seen(
        rows,
        np.full(len(rows), strength.weight, np.float32),
        np.full(len(rows), strength.observation, np.float32),
        rows,
        anchors,
    )


def context_at(now_days: float, *, category: str | None = None) -> PageContext:
    """A request from a category page, or from no page in particular."""
    return PageContext("", datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=now_days), category=category)


def signals_of(bundle: Bundle, case: Case) -> Signals:
    """The evidence of a request, by serving's own function."""
    context = context_at(case.now_days, category=case.category)
    return gather(bundle, case.owned, case.seen, case.cohort, context, case.now_days)


def score_rows(bundle: Bundle, case: Case, *, limit: int) -> tuple[Rows, Floats]:
    """The candidates of a request (C,) and their features (C, F), by serving's own functions."""
    signals = signals_of(bundle, case)
    rows = candidate_rows(bundle, signals, category=case.category, limit=limit)
    return rows, features_of(bundle, signals, rows)


def group_of(bundle: Bundle, case: Case, *, limit: int) -> Group:
    """The labelled candidates of a request."""
    rows, features = score_rows(bundle, case, limit=limit)
    return Group(features, np.isin(rows, case.targets), case.owned.places(rows)[1])


def arrival_group(bundle: Bundle, case: Case, arrived: Rows, *, limit: int) -> Group:
    """The same request among the new arrivals (A,) alone: the best of them by the evidence without purchases."""
    signals = signals_of(bundle, case)
    rows = np.sort(arrived[top_rows(arrival_scores(bundle, signals, arrived), limit)])
    return Group(features_of(bundle, signals, rows), np.isin(rows, case.targets), np.zeros(len(rows), bool))


def window_cases(histories: Histories, bought: Bought, cohorts: dict[str, int], *, now_days: float) -> Iterator[Case]:
    """Every shopper of the window at its start."""
    for shopper_id in sorted(bought.by_shopper):
        yield Case(
            shopper_id,
            owned_of(histories, shopper_id),
            NOT_SEEN,
            cohorts.get(shopper_id, UNKNOWN_COHORT),
            now_days,
            bought.targets(shopper_id),
        )


def visit_cases(
    histories: Histories, bought: Bought, cohorts: dict[str, int], rng: np.random.Generator
) -> Iterator[Case]:
    """One order of each shopper of the window, with one to four of its items shown, more often three than one."""
    for shopper_id in sorted(bought.by_shopper):
        large = [(day, rows) for day, rows in bought.orders(shopper_id) if len(rows) >= FEWEST_IN_ORDER]
        if not large:
            continue
        day, rows = large[int(rng.integers(0, len(large)))]
        shown = rng.permutation(rows)[: int(rng.integers(1, min(len(rows), 5)))].astype(np.int32)
        seen = in_cart(shown) if rng.random() < 0.5 else looked_at(shown)
        targets = np.setdiff1d(rows, shown).astype(np.int32)
        owned = owned_of(histories, shopper_id)
        yield Case(shopper_id, owned, seen, cohorts.get(shopper_id, UNKNOWN_COHORT), day, targets)


def as_stranger(case: Case) -> Case:
    """The same request from an unknown visitor."""
    return Case("", NOTHING_OWNED, case.seen, UNKNOWN_COHORT, case.now_days, case.targets)


def draw_groups(
    bundle: Bundle,
    histories: Histories,
    bought: Bought,
    cohorts: dict[str, int],
    rng: np.random.Generator,
    *,
    now_days: float,
    most: int,
    limit: int,
    share_of_windows: float = 1.0,
) -> list[Group]:
    """Labelled groups at one cut: a share of `most` of the window, `most` visits, a share of both as strangers.

    A quarter as many are added for new arrivals.
    """
    windows = list(window_cases(histories, bought, cohorts, now_days=now_days))
    windows = _sample(windows, int(share_of_windows * min(most, len(windows))), rng)
    visits = _sample(list(visit_cases(histories, bought, cohorts, rng)), most, rng)
    cases = [as_stranger(case) if rng.random() < STRANGERS else case for case in windows + visits]
    groups = (group_of(bundle, case, limit=limit) for case in cases)
    drawn = [group for group in groups if group.is_bought.any()]
    arrived = arrivals(bundle)
    hopeful = [case for case in windows if np.isin(case.targets, arrived).any()]
    fresh = (arrival_group(bundle, case, arrived, limit=limit) for case in _sample(hopeful, most // 4, rng))
    return drawn + [group for group in fresh if group.is_bought.any()]


def _sample(cases: list[Case], most: int, rng: np.random.Generator) -> list[Case]:
    if len(cases) <= most:
        return cases
    return [cases[n] for n in np.sort(rng.choice(len(cases), most, replace=False))]
