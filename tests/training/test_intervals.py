"""Intervals of means, ratios and differences: the rules that hold for any numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.intervals import bootstrap, difference, intervals, ratio

SHARES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40)


@settings(max_examples=30, deadline=None)
@given(SHARES, st.integers(1, 5))
def test_an_interval_holds_its_mean(values: list[float], per_group: int) -> None:
    groups = np.arange(len(values)) // per_group

    found, (low, high) = bootstrap(np.array(values)), intervals({"hr@20": np.array(values)}, groups=groups)["hr@20"]

    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(np.mean(values))
    assert low - 1e-5 <= found.value <= high + 1e-5


@settings(max_examples=30, deadline=None)
@given(SHARES.filter(lambda values: min(values) > 1e-6))
def test_a_method_over_itself_is_one_and_minus_itself_is_zero(values: list[float]) -> None:
    found = ratio(np.array(values), np.array(values))
    gap = difference(np.array(values), np.array(values))

    assert found is not None and (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    assert (gap.value, gap.low, gap.high) == (0.0, 0.0, 0.0)


def test_answers_that_go_together_make_the_interval_wider() -> None:
    hits = np.repeat(np.arange(100) % 2, 8).astype(float)  # every session has eight answers, all right or all wrong

    alone = bootstrap(hits)
    low, high = intervals({"hr@20": hits}, groups=np.repeat(np.arange(100), 8))["hr@20"]

    assert high - low > 2.0 * (alone.high - alone.low)  # sqrt(8) = 2.8 in expectation
    assert low < alone.value == 0.5 < high


def test_all_metrics_at_once_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(3)
    hits, gains, groups = rng.random(60), rng.random(60), np.arange(60) // 4

    both = intervals({"hr@20": hits, "mrr@20": gains}, groups=groups)

    assert both["mrr@20"] == intervals({"mrr@20": gains}, groups=groups)["mrr@20"]
    assert intervals({"hr@20": np.empty(0)}) == {}


def test_there_is_no_ratio_to_a_method_without_a_hit() -> None:
    assert ratio(np.ones(5), np.zeros(5)) is None
    assert ratio(np.empty(0), np.empty(0)) is None


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
