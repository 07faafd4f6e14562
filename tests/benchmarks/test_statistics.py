"""Intervals, paired comparisons and breadth: what must hold for any numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import intervals as statistics

SHARES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40)


@settings(max_examples=30, deadline=None)
@given(SHARES, st.integers(1, 5))
def test_an_interval_holds_its_mean(values: list[float], per_group: int) -> None:
    found = statistics.interval(np.array(values), np.arange(len(values)) // per_group, resamples=50)

    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(np.mean(values))


@settings(max_examples=30, deadline=None)
@given(SHARES.filter(lambda values: min(values) > 1e-6), st.integers(1, 5))
def test_a_method_over_itself_is_one_and_minus_itself_is_zero(values: list[float], per_group: int) -> None:
    groups = np.arange(len(values)) // per_group

    ratio = statistics.ratio(np.array(values), np.array(values), groups, resamples=50)
    gap = statistics.difference(np.array(values), np.array(values), groups, resamples=50)

    assert ratio is not None and (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)
    assert (gap.value, gap.low, gap.high) == (0.0, 0.0, 0.0)


def test_answers_that_go_together_make_the_interval_wider() -> None:
    hits = np.repeat(np.arange(100) % 2, 8).astype(float)  # every session has eight answers, all right or all wrong

    alone = statistics.interval(hits)
    by_session = statistics.interval(hits, np.repeat(np.arange(100), 8))

    assert by_session.high - by_session.low > 2.0 * (alone.high - alone.low)  # sqrt(8) = 2.8 in expectation
    assert alone.value == by_session.value == 0.5


def test_all_metrics_at_once_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(3)
    hits, gains, groups = rng.random(60), rng.random(60), np.arange(60) // 4

    both = statistics.intervals({"hr@20": hits, "mrr@20": gains}, groups)

    alone = statistics.interval(gains, groups)
    assert both["mrr@20"] == pytest.approx([alone.low, alone.high], abs=1e-5)
    assert statistics.intervals({"hr@20": np.empty(0)}) == {}


def test_there_is_no_ratio_to_a_method_without_a_hit() -> None:
    assert statistics.ratio(np.ones(5), np.zeros(5)) is None
    assert statistics.ratio(np.empty(0), np.empty(0)) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 9), max_size=5).map(lambda row: np.array(row, np.int32)), max_size=6))
def test_coverage_and_popularity_are_shares(lists: list[np.ndarray]) -> None:
    popularity = np.arange(10.0)

    assert 0.0 <= statistics.coverage(lists, 10) <= 1.0
    assert set(statistics.breadth(lists, popularity)) <= {"coverage@20", "popularity@20"}
    if any((row >= 0).any() for row in lists):
        assert 0.0 < statistics.popularity_percentile(lists, popularity) < 1.0


def test_breadth_on_lists_that_fit_on_one_line() -> None:
    popularity = np.array([1.0, 2.0, 2.0, 9.0])  # percentiles 1/8, 4/8, 4/8, 7/8

    assert statistics.coverage(np.array([[3, -1], [3, 0]]), 4) == 2 / 4
    assert statistics.popularity_percentile(np.array([[3, -1], [3, 0]]), popularity) == pytest.approx((7 + 7 + 1) / 24)
    assert statistics.popularity_percentile([np.array([1]), np.array([2])], popularity) == 0.5
