"""Features: each says what its name says, and serving and offline training compute the same."""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.candidates import candidates
from recommender.domain.serving.features import FEATURES, features_of
from recommender.domain.serving.visit import ANONYMOUS, RECENT_HALF_LIFE_DAYS, Session, Shopper
from recommender.domain.serving.visitor import Owned, evenly_spaced, owned_items

from tests.domain.visits import page, shopper, visit
from tests.tiny_bundle import DAYS, item_id, tiny_bundle

NO_VISIT = visit()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_bundle()


def _feature(bundle: Bundle, who: Shopper, session: Session, item: str, name: str) -> float:
    found = candidates(bundle, who, session, page(), limit=10_000)
    rows = bundle.rows_of([item])
    return float(features_of(bundle, found.signals, rows)[0, FEATURES.index(name)])


def test_there_is_one_finite_column_for_each_name(bundle: Bundle) -> None:
    for who in (ANONYMOUS, shopper((item_id(3, 1), 2, 5))):
        for session in (NO_VISIT, visit(("view_item", item_id(4, 2)), ("remove_from_cart", item_id(4, 3)))):
            found = candidates(bundle, who, session, page(), limit=50)
            features = features_of(bundle, found.signals, found.rows)

            assert features.shape == (len(found.rows), len(FEATURES)) and features.dtype == np.float32
            assert np.isfinite(features).all()


def test_own_purchases_are_counted_dated_and_faded(bundle: Bundle) -> None:
    ann = shopper((item_id(3, 1), 3, 20.0))  # first bought 120 days ago, last 20: a gap of 50 days
    q = 0.5 ** (50 / RECENT_HALF_LIFE_DAYS)
    recent = (1 + q + q**2) * 0.5 ** (20 / RECENT_HALF_LIFE_DAYS)

    assert _feature(bundle, ann, NO_VISIT, item_id(3, 1), "is_owned") == 1
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 1), "own_orders") == pytest.approx(np.log1p(3))
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 1), "days_since_own") == pytest.approx(np.log1p(20))
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 1), "own_due") == pytest.approx(np.log(21 / 51))
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 1), "own_recent") == pytest.approx(
        np.log(recent + 0.01), rel=1e-5
    )
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 2), "is_owned") == 0
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 2), "own_due") == 0


def test_categories_that_go_together_speak_for_items_never_bought_together(bundle: Bundle) -> None:
    seen = visit(("view_item", item_id(4, 2)))  # in the tiny bundle a category goes with the next one

    assert _feature(bundle, ANONYMOUS, seen, item_id(5, 9), "visit_complement") == 1
    assert _feature(bundle, ANONYMOUS, seen, item_id(5, 9), "visit_best_complement") == 1
    assert _feature(bundle, ANONYMOUS, seen, item_id(6, 9), "visit_complement") == 0
    assert _feature(bundle, ANONYMOUS, seen, item_id(19, 9), "visit_complement") == 0  # sold too little to say
    assert _feature(bundle, ANONYMOUS, NO_VISIT, item_id(5, 9), "visit_complement") == 0


def test_first_purchases_depend_on_taste_where_an_item_has_a_slope(bundle: Bundle) -> None:
    ann = shopper((item_id(3, 0), 3, 20.0))  # the tiny bundle reads tastes by every second row

    with_slope = [_feature(bundle, ann, NO_VISIT, item_id(c, 4), "tried_by_taste") for c in (3, 10)]
    assert with_slope[0] > with_slope[1]
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 1), "tried_by_taste") == 0
    assert _feature(bundle, ANONYMOUS, NO_VISIT, item_id(3, 4), "tried_by_taste") == 0
    assert _feature(bundle, ANONYMOUS, NO_VISIT, item_id(3, 4), "tried") == pytest.approx(-0.01 * (3 * 12 + 4))


def test_faded_orders_of_one_order_are_one_and_never_more_than_the_orders() -> None:
    orders, last, first = np.array([1.0, 5.0]), np.array([10.0, 10.0]), np.array([10.0, 10.0])

    assert evenly_spaced(orders, last, first).tolist() == pytest.approx([1.0, 5.0], rel=1e-4)


def test_history_is_sorted_by_row_whatever_order_it_comes_in(bundle: Bundle) -> None:
    owned: Owned = owned_items(bundle, shopper((item_id(9, 1), 2, 5), (item_id(1, 1), 7, 50)).history)

    assert owned.rows.tolist() == bundle.rows_of([item_id(1, 1), item_id(9, 1)]).tolist()
    assert owned.orders.tolist() == [7, 2]
    assert owned.last_on.tolist() == [DAYS - 50, DAYS - 5]


def test_a_category_bought_often_is_a_liking(bundle: Bundle) -> None:
    ann = shopper((item_id(3, 1), 3, 20.0), (item_id(8, 1), 1, 20.0))

    liked, other = (_feature(bundle, ann, NO_VISIT, item_id(c, 5), "category_share") for c in (3, 12))
    assert liked > other
    assert _feature(bundle, ann, NO_VISIT, item_id(3, 5), "tower") > _feature(
        bundle, ann, NO_VISIT, item_id(12, 5), "tower"
    )


def test_the_visit_moves_its_own_features_only(bundle: Bundle) -> None:
    ann = shopper((item_id(3, 1), 3, 20.0))
    found = candidates(bundle, ann, NO_VISIT, page(), limit=10_000)
    later = candidates(bundle, ann, visit(("view_item", item_id(5, 4))), page(), limit=10_000)

    before, after = (features_of(bundle, signals.signals, found.rows) for signals in (found, later))

    changed = {name for n, name in enumerate(FEATURES) if not np.allclose(before[:, n], after[:, n])}
    assert changed <= set(FEATURES[FEATURES.index("count_events") :])
    assert {"in_visit", "visit_partners", "visit_encoder", "visit_content", "preference_mean"} <= changed


def test_what_is_like_the_visit_scores_higher_on_it(bundle: Bundle) -> None:
    session = visit(("view_item", item_id(5, 4)))

    for name in ("visit_encoder", "visit_content", "visit_category", "preference_mean"):
        near, far = (
            _feature(bundle, ANONYMOUS, session, item, name) - _feature(bundle, ANONYMOUS, NO_VISIT, item, name)
            for item in (item_id(5, 7), item_id(14, 7))
        )
        assert near > far, name
    assert _feature(bundle, ANONYMOUS, session, item_id(5, 4), "in_visit") == 1


def test_a_removal_makes_an_item_less_wanted_than_an_addition(bundle: Bundle) -> None:
    added = visit(("add_to_cart", item_id(5, 4)))
    removed = visit(("add_to_cart", item_id(5, 4)), ("remove_from_cart", item_id(5, 4)))

    wanted = _feature(bundle, ANONYMOUS, added, item_id(5, 4), "preference_mean")
    assert _feature(bundle, ANONYMOUS, removed, item_id(5, 4), "preference_mean") < wanted
