"""Candidates: every source is heard, the limit holds, strengths say who spoke."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.placements import SOURCES
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.candidates import Candidates, candidates, top_rows
from recommender.domain.serving.visit import ANONYMOUS

from tests.domain.visits import page, shopper, visit
from tests.tiny_bundle import COUNT, category_name, item_id, tiny_bundle

NO_VISIT = visit()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_bundle()


def _strength(bundle: Bundle, found: Candidates, item: str, source: str) -> float:
    row = bundle.rows_of([item])[0]
    place = int(np.flatnonzero(found.rows == row)[0])
    return float(found.strengths[place, SOURCES.index(source)])


def test_a_first_pageview_gets_candidates_from_popularity_alone(bundle: Bundle) -> None:
    found = candidates(bundle, ANONYMOUS, NO_VISIT, page(), limit=60)

    spoken = {source for n, source in enumerate(SOURCES) if found.strengths[:, n].any()}
    assert spoken == {"prior", "trending"}
    assert bundle.rows_of([item_id(0, 0)])[0] in found.rows  # the most popular item


def test_rows_are_distinct_sorted_and_at_most_the_limit(bundle: Bundle) -> None:
    for limit in (1, 7, 60, 10_000):
        found = candidates(
            bundle, shopper((item_id(3, 1), 2, 5)), visit(("view_item", item_id(4, 2))), page(), limit=limit
        )

        assert len(found.rows) <= min(limit, COUNT)
        assert (np.diff(found.rows) > 0).all()
        assert found.strengths.shape == (len(found.rows), len(SOURCES))
        assert found.strengths.min() >= 0 and found.strengths.max() <= 1


def test_what_a_shopper_bought_comes_back_strongest_where_it_was_bought_most(bundle: Bundle) -> None:
    ann = shopper((item_id(3, 1), 9, 5), (item_id(7, 2), 1, 90))

    found = candidates(bundle, ann, NO_VISIT, page(), limit=100)

    assert _strength(bundle, found, item_id(3, 1), "own_history") == 1.0
    assert 0 < _strength(bundle, found, item_id(7, 2), "own_history") < 0.5


def test_items_seen_last_are_recent_and_their_partners_come_along(bundle: Bundle) -> None:
    session = visit(("view_item", item_id(3, 1)), ("view_item", item_id(5, 4)))

    found = candidates(bundle, ANONYMOUS, session, page(), limit=100)

    assert _strength(bundle, found, item_id(5, 4), "recent") == 1.0
    assert _strength(bundle, found, item_id(3, 1), "recent") == 1 / 2
    assert _strength(bundle, found, item_id(6, 4), "co_purchase") == 1.0  # the first partner of the last item


def test_a_category_page_brings_its_items(bundle: Bundle) -> None:
    found = candidates(bundle, ANONYMOUS, NO_VISIT, page("category", category=category_name(13)), limit=100)

    inside = found.strengths[:, SOURCES.index("category")] > 0
    assert inside.sum() == 12  # all items of the aisle
    assert (bundle.items.category[found.rows[inside]] == 13).all()


def test_a_search_brings_what_the_text_is_close_to(bundle: Bundle) -> None:
    found = candidates(bundle, ANONYMOUS, NO_VISIT, page("search", search_term="aisle 11"), limit=100)

    closest = found.rows[np.argsort(-found.strengths[:, SOURCES.index("similar_content")])[:8]]
    assert (bundle.items.category[closest] == 11).all()


def test_an_item_that_the_bundle_does_not_know_is_passed_over(bundle: Bundle) -> None:
    stranger_things = visit(("view_item", "no such item"))

    found = candidates(bundle, shopper(("gone", 3, 10)), stranger_things, page(item_id="neither"), limit=50)

    assert len(found.rows) and not len(found.signals.owned.rows) and not len(found.signals.seen.rows)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=2000), st.integers(1, 80))
def test_top_rows_is_the_head_of_a_stable_sort(values: list[int], count: int) -> None:
    scores = np.array(values, np.float64)

    assert top_rows(scores, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()


def test_a_department_page_speaks_for_the_items_of_all_its_categories(bundle: Bundle) -> None:
    found = candidates(bundle, ANONYMOUS, NO_VISIT, page("category", category="Dept 1"), limit=COUNT)

    inside = found.strengths[:, SOURCES.index("category")] > 0

    assert inside.tolist() == (bundle.items.department[found.rows] == 1).tolist()


def test_what_a_bundle_works_out_once_is_what_its_arrays_say() -> None:
    bundle = tiny_bundle()
    now = bundle.prior.log_share + bundle.prior.trend
    inside = bundle.items.category == 4

    assert bundle.trending.tolist() == np.argsort(-now, kind="stable").tolist()
    assert bundle.prior.log_share[bundle.popular[0]] == bundle.prior.log_share.max()
    assert bundle.category_share[4] == pytest.approx(np.exp(bundle.prior.log_share[inside]).sum())
    assert bundle.stranger.covariance @ bundle.stranger.precision == pytest.approx(np.eye(len(bundle.stranger.shift)))
