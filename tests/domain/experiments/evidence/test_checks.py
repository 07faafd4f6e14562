"""Sample-ratio mismatch: quiet where the split is right, also when weights move and shoppers return.

Looking at the split every epoch raises no more false alarms than looking once, and a real loss is found.
"""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.experiments.evidence.checks import CONCENTRATION, check_split, chi_square_tail, split_evidence
from recommender.domain.experiments.evidence.tally import Tally, exposure_clumping
from recommender.domain.models.arrays import Counts, Doubles
from scipy import stats

P, T, K = 4, 6, 3


@pytest.mark.parametrize("degrees", [1, 2, 3, 24, 99])
@pytest.mark.parametrize("statistic", [0.1, 1.0, 5.0, 30.0, 200.0])
def test_the_tail_is_that_of_the_chi_square_distribution(degrees: int, statistic: float) -> None:
    assert chi_square_tail(statistic, degrees) == pytest.approx(stats.chi2.sf(statistic, degrees), rel=1e-9, abs=1e-14)


def moving_weights() -> Doubles:
    """(T, K): traffic moves to the last variant."""
    shift = np.linspace(0.2, 0.8, T)
    return np.stack([(1 - shift) / 2, (1 - shift) / 2, shift], axis=1)


def p_value(rng: np.random.Generator, *, dropped: float = 0.0) -> float:
    totals = rng.poisson(5000, (P, T))
    exposures = rng.multinomial(totals, moving_weights())
    exposures[:, :, 1] = rng.binomial(exposures[:, :, 1], 1 - dropped)
    expected = exposures.sum(axis=2, keepdims=True) * moving_weights()
    return check_split(exposures, expected, design_effect=1.0).p_value


def test_p_values_are_uniform_while_the_split_is_right_and_the_weights_move() -> None:
    rng = np.random.default_rng(1)

    values = [p_value(rng) for _ in range(400)]

    assert stats.kstest(values, "uniform").pvalue > 0.001


def test_five_percent_of_one_variant_lost_is_noticed() -> None:
    assert p_value(np.random.default_rng(2), dropped=0.05) < 1e-6


def test_returning_shoppers_raise_no_alarm_and_a_real_loss_among_them_does() -> None:
    def clumped(seed: int, *, dropped: float) -> float:
        rng = np.random.default_rng(seed)
        exposures = np.zeros((P, T, K, 8), np.int64)
        shard = rng.integers(0, 8, 6000)
        for p in range(P):
            variant = rng.integers(0, K, 6000)
            visits = rng.poisson(3, (T, 6000))
            visits[:, variant == 1] = rng.binomial(visits[:, variant == 1], 1 - dropped)
            for t in range(T):
                np.add.at(exposures[p, t], (variant, shard), visits[t])
        counts = Tally(tuple(range(T)), exposures, np.zeros_like(exposures))
        observed = exposures.sum(axis=3)
        expected = np.repeat(observed.sum(axis=2, keepdims=True) / K, K, axis=2)
        return check_split(observed, expected, design_effect=exposure_clumping(counts)).p_value

    values = [clumped(seed, dropped=0.0) for seed in range(40)]

    assert stats.kstest(values, "uniform").pvalue > 0.001
    assert clumped(100, dropped=0.15) < 1e-4


def test_no_exposures_are_no_reason_for_suspicion() -> None:
    empty = np.zeros((P, T, K), np.int64)

    check = check_split(empty, empty.astype(float), design_effect=1.0)

    assert check.p_value == 1.0
    assert not check.is_suspect


P, T, K = 2, 30, 3


def moving(rng: np.random.Generator, *, placements: int = P, step: float = 0.15) -> Doubles:
    """(P, T, K): weights that wander over the epochs, as an allocation moves them."""
    steps = np.cumsum(rng.normal(0, step, (placements, T, K)), axis=1)
    weights = np.exp(steps)
    shares: Doubles = weights / weights.sum(axis=2, keepdims=True)
    return shares


def shown(rng: np.random.Generator, weights: Doubles, *, units: int, dropped: float = 0.0) -> tuple[Counts, Doubles]:
    """Simulated exposures of each epoch, of which the second variant loses a share; what is expected of the rest."""
    exposures = rng.multinomial(rng.poisson(units, weights.shape[:2]), weights)
    exposures[..., 1] = rng.binomial(exposures[..., 1], 1 - dropped)
    return exposures, exposures.sum(axis=2, keepdims=True) * weights


def test_a_right_split_is_suspected_at_any_epoch_no_more_often_than_allowed() -> None:
    rng = np.random.default_rng(1)
    repeats, allowed = 800, 0.05

    sequential = daily = 0
    for _ in range(repeats):
        exposures, expected = shown(rng, moving(rng), units=400)
        sequential += split_evidence(exposures, expected, design_effect=1.0).p_value <= allowed
        daily += any(
            check_split(exposures[:, : t + 1], expected[:, : t + 1], design_effect=1.0).p_value <= allowed
            for t in range(0, T, 3)
        )

    assert sequential / repeats <= allowed
    assert daily / repeats > 2 * allowed  # what the plain test does when it is looked at every third epoch


def test_five_percent_of_one_variant_lost_is_found_within_a_hundred_thousand_exposures() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weights = moving(rng, placements=1, step=0.05)
        found = split_evidence(*shown(rng, weights, units=100_000 // T, dropped=0.05), design_effect=1.0)

        assert found.p_value < 1e-4
        assert found.is_suspect


def test_a_loss_in_a_single_placement_is_found_too() -> None:
    rng = np.random.default_rng(2)
    weights = np.full((12, T, K), 1 / K)
    exposures, expected = shown(rng, weights, units=3000)
    exposures[5, :, 1] = rng.binomial(exposures[5, :, 1], 0.95)
    expected[5] = exposures[5].sum(axis=1, keepdims=True) / K

    assert split_evidence(exposures, expected, design_effect=1.0).is_suspect


def test_constant_weights_give_the_test_of_lindon_and_malek() -> None:
    """Their product telescopes: one Dirichlet-multinomial over all counts, with the prior κ w."""
    weights = np.array([0.5, 0.3, 0.2])
    exposures = np.random.default_rng(3).multinomial(500, weights, (1, 8))
    expected = exposures.sum(axis=2, keepdims=True) * weights

    found = split_evidence(exposures, expected, design_effect=1.0).log_evidence

    totals = np.cumsum(exposures[0], axis=0)
    mixture = [stats.dirichlet_multinomial.logpmf(n, CONCENTRATION * weights, n.sum()) for n in totals]
    plain = [stats.multinomial.logpmf(n, n.sum(), weights) for n in totals]
    assert found == pytest.approx(np.array(mixture) - plain)


def test_returning_shoppers_raise_no_alarm() -> None:
    """Each of 3,000 shoppers keeps his variant and comes back about once an epoch."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        exposures = np.zeros((P, 10, K, 8), np.int64)
        for p in range(P):
            variant, shard = rng.integers(0, K, 3000), rng.integers(0, 8, 3000)
            for t in range(10):
                np.add.at(exposures[p, t], (variant, shard), rng.poisson(1, 3000))
        clumping = exposure_clumping(Tally(tuple(range(10)), exposures, np.zeros_like(exposures)))
        seen = exposures.sum(axis=3)
        expected = np.repeat(seen.sum(axis=2, keepdims=True) / K, K, axis=2)
        alarms += split_evidence(seen, expected, design_effect=clumping).p_value <= 0.05

    assert alarms / 60 <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5


def test_a_variant_without_weight_and_an_empty_experiment_are_no_evidence() -> None:
    exposures = np.array([[[500, 500, 3]]])  # three late exposures of a killed variant
    expected = np.array([[[501.5, 501.5, 0.0]]])

    assert split_evidence(exposures, expected, design_effect=1.0).p_value == 1.0
    assert split_evidence(np.zeros((P, 0, K), np.int64), np.zeros((P, 0, K)), design_effect=1.0).p_value == 1.0
    assert split_evidence(np.zeros((P, 2, K), np.int64), np.zeros((P, 2, K)), design_effect=1.0).p_value == 1.0
