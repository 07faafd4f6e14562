"""Recall, gain, ties and intervals on lists that fit on one line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_jobs.metrics import best_rows, bootstrap, ndcg, ratio, recall, summarise, value_of

NOTHING = np.empty(0, np.int32)


def test_recall_divides_by_what_a_list_could_hold() -> None:
    listed, targets = np.array([3, 1, 4]), np.array([1, 4, 9, 7])

    assert recall(listed, targets, k=3) == 2 / 3  # at most three of the four fit
    assert recall(listed, targets, k=2) == 1 / 2
    assert recall(listed, targets, k=20) == 2 / 4


def test_gain_is_one_for_a_perfect_list_and_falls_with_the_rank_of_a_hit() -> None:
    assert ndcg(np.array([5, 2]), np.array([2, 5]), k=2) == 1.0
    assert ndcg(np.array([9, 5]), np.array([5]), k=2) == pytest.approx(1 / math.log2(3))
    assert ndcg(np.array([5, 9]), np.array([5]), k=2) == 1.0


def test_equal_scores_are_listed_in_order_of_the_row() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.9, 0.1])

    assert best_rows(scores, NOTHING, 3).tolist() == [1, 3, 0]
    assert best_rows(scores, np.array([3]), 3).tolist() == [1, 0, 2]


def test_an_excluded_item_is_never_listed_even_where_the_list_stays_short() -> None:
    assert best_rows(np.array([0.2, 0.1]), np.array([0]), 5).tolist() == [1]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=300), st.integers(1, 40))
def test_best_rows_is_the_head_of_a_full_stable_sort(values: list[int], count: int) -> None:
    scores = np.array(values, np.float64)

    assert best_rows(scores, NOTHING, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()


def test_the_interval_holds_the_mean_and_shrinks_to_a_point_without_spread() -> None:
    spread = bootstrap(np.array([0.0, 1.0] * 50), np.random.default_rng(1))
    point = bootstrap(np.full(10, 0.25), np.random.default_rng(1))

    assert spread.low < 0.5 < spread.high and spread.value == 0.5
    assert (point.low, point.value, point.high) == (0.25, 0.25, 0.25)


def test_a_ratio_of_a_method_with_itself_is_one() -> None:
    values = np.array([0.1, 0.5, 0.9])

    itself = ratio(values, values, np.random.default_rng(0))

    assert itself is not None and itself.to_json() == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_there_is_no_ratio_to_a_method_that_may_have_no_hit_at_all() -> None:
    hits, hardly_any = np.full(20, 0.5), np.eye(1, 20)[0]

    assert ratio(hits, np.zeros(20), np.random.default_rng(0)) is None
    assert ratio(hits, hardly_any, np.random.default_rng(0)) is None


def test_seeds_are_averaged_for_each_shopper() -> None:
    targets = [np.array([1]), np.array([2])]
    first = [np.array([1]), np.array([2])]  # both right
    second = [np.array([1]), np.array([3])]  # one right

    found = summarise([first, second], targets, count_items=10, rng=np.random.default_rng(0))

    assert value_of(found, "recall@20") == (1.0 + 0.5) / 2
    assert found["coverage"] == (2 / 10 + 2 / 10) / 2
    assert found["margin@10"] is None
    assert found["shoppers"] == 2


def test_margin_is_the_mean_share_of_the_first_ten_places() -> None:
    margin_share = np.array([0.5, 0.1, 0.3], np.float32)

    found = summarise(
        [[np.array([0, 2])]], [np.array([1])], count_items=3, rng=np.random.default_rng(0), margin_share=margin_share
    )

    assert found["margin@10"] == pytest.approx((0.5 + 0.3) / 2)
