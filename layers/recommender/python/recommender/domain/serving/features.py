"""The ranker's features: one implementation for training, evaluation and serving.

Each feature is a column of (C, F) in the order of FEATURES; the ranker's graph holds their means and spreads. What
does not apply (no history, no visit) is a constant, which the ranker has seen in training. The page is not a
feature: placements add the strengths of their sources (`page`). Letters: C candidates, F features, I items.

Decisions: docs/decisions/ranker.md (024).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.discovery import log_lift, visit_lifts
from recommender.domain.models.posterior import score
from recommender.domain.serving.candidates import session_votes
from recommender.domain.serving.signals import Signals, content_of

FEATURES: Final = (
    # the shopper's own purchases of the item
    "is_owned",
    "own_orders",
    "own_order_share",
    "own_recent",
    "own_recent_share",
    "own_rate",
    "own_age",
    "days_since_own",
    "own_due",
    # how much is known of the shopper
    "count_orders",
    "count_owned",
    "days_since_any",
    # collaborative
    "tower",
    "history_partners",
    "history_partners_lift",
    "cohort_rank",
    # what is bought for the first time
    "tried",
    "tried_by_taste",
    "first_share",
    "first_in_category",
    # the item
    "log_prior",
    "trend",
    "popularity",
    "repeat_share",
    "interpurchase",
    "price",
    "category_prior",
    # likeness to what the shopper buys
    "category_share",
    "category_lift",
    "department_share",
    "brand_share",
    "price_gap",
    "content_taste",
    # the visit
    "count_events",
    "in_visit",
    "visit_partners",
    "visit_sessions",
    "visit_encoder",
    "visit_content",
    "visit_category",
    "visit_department",
    "visit_brand",
    "visit_complement",
    "visit_best_complement",
    "preference_mean",
    "preference_variance",
)
ABSENT_DAYS: Final = 400.0  # "never bought", in days
TINY_SHARE: Final = 1e-3
UNKNOWN_GAP_DAYS: Final = 60.0  # between purchases of an item that nobody bought twice

Column = NDArray[np.floating]
NOTHING: Final[Column] = np.zeros(1)  # of what does not apply


def features_of(bundle: Bundle, signals: Signals, rows: Rows) -> Floats:
    """(C, F) of item `rows` under these signals."""
    columns = dict(
        pair
        for group in (_own, _shopper, _collaborative, _discovery, _item, _likeness, _visit)
        for pair in group(bundle, signals, rows)
    )
    table = np.empty((len(rows), len(FEATURES)), np.float32)
    for place, name in enumerate(FEATURES):
        table[:, place] = columns[name]
    return table


def _own(bundle: Bundle, signals: Signals, rows: Rows) -> Iterator[tuple[str, Column]]:
    owned = signals.owned
    place, is_owned = owned.places(rows)

    def at(values: NDArray[np.float64], absent: float) -> NDArray[np.float64]:
        return np.where(is_owned, values[place], absent) if len(values) else np.full(len(rows), absent)

    recent_now = owned.recent_at(signals.now_days)
    orders, recent = at(owned.orders, 0.0), at(recent_now, 0.0)
    since = np.maximum(signals.now_days - at(owned.last_on, signals.now_days - ABSENT_DAYS), 0.0)
    age = np.maximum(signals.now_days - at(owned.first_on, signals.now_days), 1.0)
    typical = bundle.items.interpurchase_days[rows]
    typical = np.where(typical > 0, typical, UNKNOWN_GAP_DAYS)
    gap = np.where(orders > 1, (age - since) / np.maximum(orders - 1, 1.0), typical)
    yield "is_owned", is_owned.astype(np.float32)
    yield "own_orders", np.log1p(orders)
    yield "own_order_share", orders / max(owned.count_orders, 1)
    yield "own_recent", np.log(recent + 0.01)
    yield "own_recent_share", np.log(recent / max(float(recent_now.sum()), 1e-6) + 1e-4)
    yield "own_rate", np.log1p(30.0 * orders / age)
    yield "own_age", np.log(age)
    yield "days_since_own", np.log1p(since)
    yield "own_due", np.where(is_owned, np.log((since + 1.0) / (gap + 1.0)), 0.0)


def _shopper(bundle: Bundle, signals: Signals, rows: Rows) -> Iterator[tuple[str, Column]]:
    owned = signals.owned
    idle = signals.now_days - float(owned.last_on.max()) if len(owned.rows) else ABSENT_DAYS
    yield "count_orders", np.array([np.log1p(owned.count_orders)])
    yield "count_owned", np.array([np.log1p(len(owned.rows))])
    yield "days_since_any", np.array([np.log1p(max(idle, 0.0))])


def _collaborative(bundle: Bundle, signals: Signals, rows: Rows) -> Iterator[tuple[str, Column]]:
    vector = bundle.preference.mean if signals.user_vec is None else signals.user_vec
    partners = np.zeros(len(rows)) if signals.history_scores is None else signals.history_scores[rows]
    yield "tower", bundle.item_vectors[rows] @ vector
    yield "history_partners", partners
    yield "history_partners_lift", np.log(partners + 0.01) - 0.5 * bundle.items.popularity[rows]
    yield "cohort_rank", _rank_in(bundle.cohorts.lists[signals.cohort], rows)


def _discovery(bundle: Bundle, signals: Signals, rows: Rows) -> Iterator[tuple[str, Column]]:
    discovery = bundle.discovery
    yield "tried", discovery.log_tried[rows]
    yield "tried_by_taste", log_lift(discovery, signals.first_purchase_taste, rows)
    yield "first_share", discovery.log_first_share[rows]
    yield "first_in_category", discovery.log_in_category[rows]


def _item(bundle: Bundle, signals: Signals, rows: Rows) -> Iterator[tuple[str, Column]]:
    items, prior = bundle.items, bundle.prior
    yield "log_prior", prior.log_share[rows]
    yield "trend", prior.trend[rows]
    yield "popularity", items.popularity[rows]
    yield "repeat_share", items.repeat_share[rows]
    yield "interpurchase", np.log1p(items.interpurchase_days[rows])
    yield "price", np.log1p(items.price_cents[rows])


def _likeness(bundle: Bundle, signals: Signals, rows: Rows) -> Iterator[tuple[str, Column]]:
    items, owned = bundle.items, signals.owned
    weights = owned.recent_at(signals.now_days)
    in_category = _share(items.category, owned.rows, weights, rows)
    of_everyone = bundle.category_share[items.category[rows]]  # (C,)
    yield "category_prior", bundle.prior.log_share[rows] - np.log(of_everyone + 1e-12)
    yield "category_share", np.log(in_category + TINY_SHARE)
    yield "category_lift", np.log((in_category + TINY_SHARE) / (of_everyone + TINY_SHARE))
    yield "department_share", np.log(_share(items.department, owned.rows, weights, rows) + TINY_SHARE)
    yield "brand_share", np.log(_share(items.brand, owned.rows, weights, rows) + TINY_SHARE)
    if len(owned.rows):
        usual = float(np.average(np.log1p(items.price_cents[owned.rows]), weights=weights + 1e-9))
        yield "price_gap", np.log1p(items.price_cents[rows]) - usual
    else:
        yield "price_gap", np.zeros(1)
    yield "content_taste", NOTHING if signals.taste is None else content_of(bundle, rows) @ signals.taste


def _visit(bundle: Bundle, signals: Signals, rows: Rows) -> Iterator[tuple[str, Column]]:
    items, focus, weights = bundle.items, signals.focus, signals.focus_weights
    votes = session_votes(signals, rows)
    partners = np.zeros(len(rows)) if signals.partner_scores is None else signals.partner_scores[rows]
    means, variances = score(signals.preference, bundle.item_vectors[rows])
    yield "count_events", np.array([np.log1p(len(signals.seen.viewed))])
    yield "in_visit", np.isin(rows, signals.seen.viewed).astype(np.float32)
    yield "visit_partners", np.log(partners + 0.01)
    yield "visit_sessions", np.log(votes / max(float(votes.max(initial=0.0)), 1e-9) + 0.01)
    vector, subject = signals.session_vec, signals.subject
    yield "visit_encoder", NOTHING if vector is None else bundle.session_item_vectors[rows] @ vector
    yield "visit_content", NOTHING if subject is None else content_of(bundle, rows) @ subject
    yield "visit_category", _share(items.category, focus, weights, rows)
    yield "visit_department", _share(items.department, focus, weights, rows)
    yield "visit_brand", _share(items.brand, focus, weights, rows)
    mean, best = visit_lifts(bundle.complements, items.category[focus], weights, items.category[rows])
    yield "visit_complement", mean
    yield "visit_best_complement", best
    yield "preference_mean", means
    yield "preference_variance", variances


def _share(codes: Rows, known: Rows, weights: NDArray[np.floating], rows: Rows) -> Column:
    """(C,) the share of `weights` whose item has the same code as each of `rows`."""
    if not len(known):
        return np.zeros(1)
    counted = np.bincount(codes[known], weights=weights, minlength=int(codes[rows].max(initial=0)) + 1)
    return counted[codes[rows]] / max(float(weights.sum()), 1e-9)


def _rank_in(listed: Rows, rows: Rows) -> Column:
    """(C,) 1 for the first of the list, falling to 0 at its end and for what is not in it."""
    order = np.argsort(listed, kind="stable")
    place = np.minimum(np.searchsorted(listed[order], rows), len(listed) - 1)
    found = listed[order][place] == rows
    return np.where(found, 1.0 - order[place] / len(listed), 0.0)
