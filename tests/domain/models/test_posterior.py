"""The preference posterior: equal to ridge regression, indifferent to order, surer with every event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recommender.domain.models.posterior import STRENGTHS, PreferencePrior, infer, score, start, update

WIDTH = 4
vectors = arrays(np.float64, st.tuples(st.integers(1, 6), st.just(WIDTH)), elements=st.floats(-1, 1))


def some_prior() -> PreferencePrior:
    basis, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(WIDTH, WIDTH)))
    return PreferencePrior(
        mean=np.array([0.5, 0.0, -0.2, 0.1], np.float32),
        basis=basis.astype(np.float32),
        variances=np.array([1.0, 0.5, 0.3, 0.1], np.float32),
        noise_variance=0.5,
    )


def ridge(prior: PreferencePrior, seen: np.ndarray, weights: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """argmin of sum w (y - v.u)^2 / s2 + (u - m0)' S0^-1 (u - m0)."""
    inverse = np.linalg.inv((prior.basis * prior.variances) @ prior.basis.T)
    left = inverse + (seen.T * weights) @ seen / prior.noise_variance
    return np.linalg.solve(left, inverse @ prior.mean + (weights * targets) @ seen / prior.noise_variance)


@given(vectors)
def test_updates_equal_the_ridge_solution_of_all_events_at_once(seen: np.ndarray) -> None:
    weights, targets = np.linspace(1, 3, len(seen)), np.where(np.arange(len(seen)) % 3 == 2, -0.5, 1.0)

    preference = start(some_prior())
    for vector, weight, target in zip(seen, weights, targets, strict=True):
        preference = update(preference, vector, weight=weight, observation=target)

    assert preference.mean == pytest.approx(ridge(some_prior(), seen, weights, targets), abs=1e-4)


@given(vectors, st.randoms(use_true_random=False))
def test_without_forgetting_the_order_does_not_matter(seen: np.ndarray, random: object) -> None:
    shuffled = seen[np.random.default_rng(len(seen)).permutation(len(seen))]
    ones = np.ones(len(seen))

    first = infer(start(some_prior()), seen, weights=ones, observations=ones)
    second = infer(start(some_prior()), shuffled, weights=ones, observations=ones)

    assert first.mean == pytest.approx(second.mean, abs=1e-9)


@given(vectors)
def test_a_whole_visit_at_once_equals_its_events_one_by_one(seen: np.ndarray) -> None:
    weights, targets = np.linspace(1, 2, len(seen)), np.ones(len(seen))

    one_by_one = start(some_prior())
    for vector, weight in zip(seen, weights, strict=True):
        one_by_one = update(one_by_one, vector, weight=weight, retention=0.8)
    at_once = infer(start(some_prior()), seen, weights=weights, observations=targets, retention=0.8)

    assert at_once.precision == pytest.approx(one_by_one.precision)
    assert at_once.mean == pytest.approx(one_by_one.mean)
    assert at_once.evidence == pytest.approx(one_by_one.evidence)


@given(vectors)
def test_every_event_makes_the_scores_surer(seen: np.ndarray) -> None:
    candidates = np.eye(WIDTH)
    preference = start(some_prior())
    _, before = score(preference, candidates)

    for vector in seen:
        preference = update(preference, vector)
        _, after = score(preference, candidates)
        assert (after <= before + 1e-6).all()
        before = after


def test_evidence_fades_to_the_prior() -> None:
    preference = update(start(some_prior()), np.ones(WIDTH), weight=4.0)

    for _ in range(200):
        preference = update(preference, np.zeros(WIDTH), weight=0.0, retention=0.9)

    assert preference.mean == pytest.approx(some_prior().mean, abs=1e-6)
    assert preference.evidence == pytest.approx(0.0, abs=1e-6)


def test_a_known_shopper_starts_from_their_own_vector() -> None:
    own = np.array([0.0, 1.0, 0.0, 0.0])

    assert start(some_prior()).around(own).mean == pytest.approx(own)


def test_one_event_moves_the_mean_by_the_kalman_gain() -> None:
    prior = PreferencePrior(np.zeros(1, np.float32), np.eye(1, dtype=np.float32), np.ones(1, np.float32), 1.0)

    preference = update(start(prior), np.ones(1), weight=3.0)

    assert preference.mean == pytest.approx([3 / (1 + 3)])  # w / (1/S0 + w)
    _, variance = score(preference, np.ones((1, 1)))
    assert variance == pytest.approx([1 / (1 + 3)])


def test_a_view_says_less_than_a_click_a_cart_and_a_purchase_and_a_removal_is_negative() -> None:
    weights = [STRENGTHS[name].weight for name in ("view_item", "select_item", "add_to_cart", "purchase")]

    assert weights == sorted(weights)
    assert len(set(weights)) == 4
    assert STRENGTHS["remove_from_cart"].observation < 0
