"""Recall, gain, ties and breadth on lists that fit on one line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.metrics import (
    best_rows,
    breadth,
    coverage,
    expected_metrics,
    expected_rank,
    hit_rate,
    ndcg,
    popularity_percentile,
    recall,
    summarise,
    target_ranks,
    value_of,
)

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


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 9), max_size=5).map(lambda row: np.array(row, np.int32)), max_size=6))
def test_coverage_and_popularity_are_shares(lists: list[np.ndarray]) -> None:
    popularity = np.arange(10.0)

    assert 0.0 <= coverage(lists, 10) <= 1.0
    assert set(breadth(lists, popularity)) <= {"coverage@20", "popularity@20"}
    if any((row >= 0).any() for row in lists):
        assert 0.0 < popularity_percentile(lists, popularity) < 1.0


def test_breadth_on_lists_that_fit_on_one_line() -> None:
    popularity = np.array([1.0, 2.0, 2.0, 9.0])  # percentiles 1/8, 4/8, 4/8, 7/8

    assert coverage(np.array([[3, -1], [3, 0]]), 4) == 2 / 4
    assert popularity_percentile(np.array([[3, -1], [3, 0]]), popularity) == pytest.approx((7 + 7 + 1) / 24)
    assert popularity_percentile([np.array([1]), np.array([2])], popularity) == 0.5


def test_a_hit_counts_only_in_the_places_that_are_seen() -> None:
    listed = np.arange(12)

    assert [hit_rate(listed, np.array([row])) for row in (9, 10)] == [1.0, 0.0]


def test_a_target_shares_its_rank_with_items_of_its_score_and_ranks_behind_where_it_is_not_listed() -> None:
    rows = np.array([[4, 2, 7, -1], [4, 2, 7, -1]])
    scores = np.array([[0.9, 0.5, 0.5, 0.0], [0.9, 0.5, 0.5, 0.0]])

    above, equal = target_ranks(rows, scores, np.array([7, 3]), unlisted=100)

    assert above.tolist() == [1, 100] and equal.tolist() == [2, 1]


def test_equal_scores_count_as_the_mean_over_their_ranks() -> None:
    found = expected_metrics(np.array([1, 100]), np.array([2, 1]), (("hr", 2), ("mrr", 20), ("ndcg", 20)))

    assert found["hr@2"].tolist() == [1 / 2, 0.0]  # rank 2 or 3
    assert found["mrr@20"] == pytest.approx([(1 / 2 + 1 / 3) / 2, 0.0])
    assert found["ndcg@20"] == pytest.approx([(1 / math.log2(3) + 1 / math.log2(4)) / 2, 0.0])


def test_an_excluded_rival_does_not_push_a_target_down() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1])

    assert expected_rank(scores, 1) == 2.5
    assert expected_rank(scores, 1, [0]) == 1.5
