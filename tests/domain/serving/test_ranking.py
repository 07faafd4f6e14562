"""Ranking: probabilities in order, a level that says what they rest on, the same answer twice."""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.models.bundle import Model
from recommender.domain.models.prior import log_prior
from recommender.domain.serving.features import FEATURES
from recommender.domain.serving.ranking import rank
from recommender.domain.serving.visit import ANONYMOUS

from tests.domain.visits import page, shopper, visit
from tests.tiny_bundle import EACH, category_name, item_id, tiny_bundle

NO_VISIT = visit()


def _ranker(name: str) -> Model:
    column = FEATURES.index(name)
    return lambda feed: {"score": 1 / (1 + np.exp(-feed["features"][:, column]))}


def test_scores_fall_and_stay_inside_zero_and_one() -> None:
    found = rank(tiny_bundle(), shopper((item_id(3, 1), 2, 5)), visit(("view_item", item_id(4, 2))), page())

    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() > 0 and found.scores.max() < 1
    assert len(found.rows) == len(found.scores) == len(found.strengths) == len(set(found.rows.tolist()))


def test_equal_scores_are_ordered_by_row() -> None:
    bundle = tiny_bundle(ranker=lambda feed: {"score": np.full(len(feed["features"]), 0.5, np.float32)})

    found = rank(bundle, ANONYMOUS, NO_VISIT, page())

    assert (np.diff(found.rows) > 0).all()


def test_before_anything_is_known_the_category_page_lifts_its_items() -> None:
    bundle = tiny_bundle(ranker=lambda feed: {"score": np.full(len(feed["features"]), 0.2, np.float32)})
    aisle = page(category=category_name(5))

    stranger = rank(bundle, ANONYMOUS, NO_VISIT, aisle)
    after_one = rank(bundle, ANONYMOUS, visit(("view_item", item_id(4, 2))), aisle)

    assert np.isin(stranger.rows[:12] // EACH, 5).all()  # the twelve items of the category
    lift = np.log(0.2 / 0.8) + (log_prior(bundle.prior, [f"category:{category_name(5)}"]) - bundle.prior.log_share)
    odds = np.log(stranger.scores / (1 - stranger.scores))
    assert odds == pytest.approx(lift[stranger.rows], abs=2e-3)
    assert set(after_one.scores.tolist()) == {np.float32(0.2)}  # from the first event on the placements say it


def test_the_level_says_what_the_answer_rests_on() -> None:
    bundle, viewed = tiny_bundle(), visit(("view_item", item_id(4, 2)))
    ann = shopper((item_id(3, 1), 2, 5))

    assert rank(bundle, ANONYMOUS, NO_VISIT, page()).level == "prior"
    assert rank(bundle, ANONYMOUS, viewed, page()).level == "session"
    assert rank(bundle, ann, NO_VISIT, page()).level == "user"
    assert rank(bundle, ann, viewed, page()).level == "user"


def test_evidence_grows_with_orders_and_events() -> None:
    bundle, viewed = tiny_bundle(), visit(("view_item", item_id(4, 2)))
    ann = shopper((item_id(3, 1), 2, 5))

    assert rank(bundle, ANONYMOUS, NO_VISIT, page()).evidence == 0
    assert rank(bundle, ANONYMOUS, viewed, page()).evidence == 1  # one view
    assert rank(bundle, ann, NO_VISIT, page()).evidence == 2  # two orders
    assert rank(bundle, ann, viewed, page()).evidence == 3


def test_one_view_changes_the_very_next_answer() -> None:
    bundle = tiny_bundle(ranker=_ranker("visit_content"))

    before = rank(bundle, ANONYMOUS, NO_VISIT, page())
    after = rank(bundle, ANONYMOUS, visit(("view_item", item_id(14, 2))), page())

    assert before.rows[:6].tolist() != after.rows[:6].tolist()
    assert (bundle.items.category[after.rows[:6]] == 14).all()


def test_the_same_request_gets_the_same_answer() -> None:
    bundle, ann = tiny_bundle(), shopper((item_id(3, 1), 2, 5))

    first, second = (rank(bundle, ann, NO_VISIT, page()) for _ in range(2))

    assert first.rows.tolist() == second.rows.tolist() and first.scores.tolist() == second.scores.tolist()
