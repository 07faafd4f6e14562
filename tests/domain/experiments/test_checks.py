"""Sample-ratio mismatch: quiet where the split is right, also when weights move and shoppers return."""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.experiments.evidence.checks import check_split, chi_square_tail
from recommender.domain.experiments.evidence.tally import Tally, exposure_clumping
from recommender.domain.models.arrays import Doubles
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
