"""Requests within recorded visits: what had been seen, what came after, and that derived events are passed over."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from recommender.domain.serving.features import FEATURES

from tests.tiny_bundle import tiny_bundle
from tests.training.shop import START, event, frame, shop
from training_jobs.counting.lines import build_histories, read_lines
from training_jobs.exports import Exports
from training_jobs.session_ranker.browsing import Browsed, browsed_cases, browsed_group

JAM, MILK, SOAP, TEA, WAX = range(5)
WINDOW = {"start": START + timedelta(days=15), "end": START + timedelta(days=30)}
EVENTS = [
    event("v1", "view_item", 0, "tea"),
    event("v1", "add_to_cart", 1, "tea"),
    event("v1", "view_item", 2, "jam"),
    event("v1", "add_to_cart", 3, "jam"),
    event("v1", "remove_from_cart", 4, "tea"),
    event("v1", "purchase", 5, "jam"),
]


def _asked(exports: Exports, seed: int = 0) -> list[Browsed]:
    histories = build_histories(read_lines(exports, until=START + timedelta(days=15)), exports.item_ids)
    return list(browsed_cases(exports, histories, {"ann": 4}, np.random.default_rng(seed), **WINDOW, most=10))


def test_a_visit_is_cut_once_and_what_followed_is_the_label() -> None:
    exports = shop(session_events=frame("session_events", EVENTS))
    found = {len(asked.case.seen.rows): asked for seed in range(40) for asked in _asked(exports, seed)}

    assert set(found) == set(range(6))  # from nothing seen to everything but the last event
    assert found[0].clicked.tolist() == [JAM, TEA] and found[0].carted.tolist() == [JAM, TEA]
    assert found[3].case.seen.viewed.tolist() == [TEA, TEA, JAM] and found[3].case.seen.anchors.tolist() == [TEA]
    assert found[3].clicked.tolist() == [] and found[3].carted.tolist() == [JAM]
    assert found[5].case.seen.anchors.tolist() == [JAM]  # the tea was taken out again
    assert all(asked.case.targets.tolist() == [JAM] and asked.case.cohort == 4 for asked in found.values())
    assert found[2].case.owned.rows.tolist() == [MILK, TEA]  # as of day 15


def test_derived_events_single_events_and_other_days_are_passed_over() -> None:
    derived = [event("v1", "view_item", n, "tea", derived=True) for n in range(3)]
    assert not _asked(shop(session_events=frame("session_events", derived)))
    assert not _asked(shop(session_events=frame("session_events", EVENTS[:1])))
    late = [event("v2", "view_item", 60 * 24 * 20 + n, "tea") for n in range(3)]
    assert not _asked(shop(session_events=frame("session_events", late)))


def test_a_group_of_a_visit_labels_clicks_and_carts_too() -> None:
    exports = shop(session_events=frame("session_events", EVENTS))
    asked = next(asked for seed in range(40) for asked in _asked(exports, seed) if not len(asked.case.seen.rows))

    group = browsed_group(tiny_bundle(), asked, limit=10_000)

    assert group.features.shape == (len(group.is_bought), len(FEATURES))
    assert group.is_clicked is not None and group.is_carted is not None
    assert group.is_bought.sum() <= group.is_clicked.sum() <= 2
