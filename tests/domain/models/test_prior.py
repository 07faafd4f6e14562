"""The prior's promises: probabilities, shrinkage between context and shop, monotony, and the names of contexts."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recommender.domain.models.arrays import from_npz, to_npz
from recommender.domain.models.prior import (
    ContextCounts,
    PageContext,
    Prior,
    build_prior,
    context_counts,
    contexts_of,
    decay,
    log_prior,
    log_trend,
)

COUNT = 6
counts = arrays(np.float64, COUNT, elements=st.floats(0, 1000))
context_rows = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=COUNT, unique=True)


def counted(rows: list[int], numbers: list[float], strength: float | None = None) -> ContextCounts:
    return ContextCounts(np.array(rows, np.int32), np.array(numbers, np.float32), strength)


@given(counts, context_rows, st.floats(0.1, 1e5))
def test_probabilities_sum_to_one_in_any_context(found: np.ndarray, rows: list[int], strength: float) -> None:
    contexts = {"page:home": counted(rows, [2.0] * len(rows)), "hour:07": counted(rows[:1], [5.0])}
    prior = build_prior(found, contexts=contexts, strength=strength)

    for asked in ((), ("page:home",), ("page:home", "hour:07"), ("page:nowhere",)):
        assert np.exp(log_prior(prior, asked).astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-4)


def test_a_context_is_shrunk_to_the_shop_by_kappa() -> None:
    prior = build_prior(
        np.array([60.0, 30.0, 10.0]), contexts={"page:cart": counted([2], [10.0])}, smoothing=0.0, strength=40
    )

    # (n_cj + kappa pi_j) / (n_c + kappa) with pi = .6 .3 .1, n_c = 10, kappa = 40
    expected = [(0 + 40 * 0.6) / 50, (0 + 40 * 0.3) / 50, (10 + 40 * 0.1) / 50]
    assert np.exp(log_prior(prior, ["page:cart"])) == pytest.approx(expected, rel=1e-5)


def test_a_kind_of_context_may_have_its_own_kappa() -> None:
    own = build_prior(np.ones(3), contexts={"hour:07": counted([2], [10.0], strength=400.0)}, strength=40.0)
    same = build_prior(np.ones(3), contexts={"hour:07": counted([2], [10.0])}, strength=400.0)

    assert log_prior(own, ["hour:07"]) == pytest.approx(log_prior(same, ["hour:07"]))


@given(counts, context_rows)
def test_infinite_kappa_is_the_shop(found: np.ndarray, rows: list[int]) -> None:
    prior = build_prior(found, contexts={"page:home": counted(rows, [3.0] * len(rows))}, strength=1e12)

    assert log_prior(prior, ["page:home"]) == pytest.approx(prior.log_share, abs=1e-4)


def test_an_unknown_context_and_an_empty_shop_say_nothing() -> None:
    prior = build_prior(np.zeros(4))

    assert np.exp(log_prior(prior, ["category:Tea"])) == pytest.approx([0.25] * 4)
    assert context_counts(prior, "category:Tea") is None


@given(counts, st.integers(0, COUNT - 1), st.floats(0.5, 100))
def test_more_purchases_never_lower_an_item(found: np.ndarray, row: int, more: float) -> None:
    grown = found.copy()
    grown[row] += more

    assert log_prior(build_prior(grown))[row] >= log_prior(build_prior(found))[row]


@given(counts, st.integers(0, COUNT - 1))
def test_more_counts_in_a_context_never_lower_an_item_there(found: np.ndarray, row: int) -> None:
    few = build_prior(found, contexts={"page:home": counted([row], [1.0])})
    many = build_prior(found, contexts={"page:home": counted([row], [9.0])})

    assert log_prior(many, ["page:home"])[row] >= log_prior(few, ["page:home"])[row] - 1e-6


def test_independent_contexts_multiply_their_lifts() -> None:
    contexts = {"page:home": counted([0], [50.0]), "hour:07": counted([0], [50.0])}
    prior = build_prior(np.ones(2), contexts=contexts, smoothing=0.0, strength=50.0)

    # in one context: lift (50 + 25) / 25 = 3 over item 1; in both 3 * 3 to 1
    assert np.exp(log_prior(prior, ["page:home"])) == pytest.approx([3 / 4, 1 / 4])
    assert np.exp(log_prior(prior, ["page:home", "hour:07"])) == pytest.approx([9 / 10, 1 / 10])


def test_items_of_a_context_stand_best_first_and_survive_the_file() -> None:
    prior = build_prior(
        np.ones(4), contexts={"page:b": counted([0, 3, 2], [1.0, 5.0, 5.0]), "page:a": counted([1], [2.0])}
    )

    found = context_counts(from_npz(Prior, to_npz(prior)), "page:b")

    assert found is not None
    assert found.rows.tolist() == [2, 3, 0]
    assert found.counts.tolist() == [5.0, 5.0, 1.0]


def test_counts_fade_by_half_every_half_life() -> None:
    assert decay(np.array([0.0, 30.0, 60.0]), half_life_days=30.0) == pytest.approx([1.0, 0.5, 0.25])


def test_a_trend_needs_evidence() -> None:
    trend = log_trend(
        np.array([10.0, 0.1, 0.0]),
        np.array([10.0, 0.1, 0.0]),
        recent_exposure=10.0,
        long_run_exposure=100.0,
        evidence=5.0,
    )

    # expected in the short run: a tenth of the long run
    assert trend == pytest.approx([np.log((10 + 5) / (1 + 5)), np.log((0.1 + 5) / (0.01 + 5)), 0.0], abs=1e-6)


def test_a_page_names_its_contexts() -> None:
    page = PageContext("search", datetime(2026, 3, 1, 7, 30, tzinfo=UTC), search_term="  Green   TEA", device="mobile")

    assert set(contexts_of(page)) == {"page:search", "hour:07", "device:mobile", "query:green tea"}
