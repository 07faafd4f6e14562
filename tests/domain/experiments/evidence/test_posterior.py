"""The posterior: blind to drift, pooling as much as the data allow, normal theory where that is exact.

A lift that is to last: neither the novelty of the first days nor a weekend.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.experiments.evidence.posterior import Evidence, evidence, no_calendar, pool, standard_calendar
from recommender.domain.models.arrays import Counts, Doubles

P, T, K = 12, 14, 3


def traffic(
    lifts: Doubles, *, seed: int, weights: Doubles | None = None, level: Doubles | None = None, size: int = 20_000
) -> tuple[Counts, Counts]:
    """(P, T, K) exposures and clicks with relative click rates 1 + lifts (P, K) on a base of 1.8 %."""
    rng = np.random.default_rng(seed)
    share = np.full((T, K), 1 / K) if weights is None else weights
    by_epoch = np.ones(T) if level is None else level
    exposures = rng.poisson(np.broadcast_to(size * share, (P, T, K)))
    rate = 0.018 * by_epoch[None, :, None] * (1 + lifts[:, None, :])
    return exposures, rng.binomial(exposures, rate)


def test_a_lift_of_ten_percent_is_found_in_all_placements_together() -> None:
    lifts = np.tile([0.0, 0.10, 0.0], (P, 1))

    found = pool(evidence(*traffic(lifts, seed=1)))

    deviations = np.sqrt(np.diag(found.pooled_covariance))
    assert found.pooled_mean == pytest.approx([np.log(1.1), 0.0], abs=4 * deviations.max())
    assert found.pooled_mean[0] > 5 * deviations[0]


def test_drifting_traffic_and_moving_weights_do_not_favour_the_variant_with_the_better_days() -> None:
    level = np.linspace(1.0, 2.0, T)  # the click rate of everybody doubles
    shift = np.linspace(0.1, 0.8, T)  # while the traffic moves to variant 1
    weights = np.stack([(1 - shift) / 2, shift, (1 - shift) / 2], axis=1)
    exposures, clicks = traffic(np.zeros((P, K)), seed=2, weights=weights, level=level)

    found = pool(evidence(exposures, clicks))
    collapsed = pool(evidence(exposures.sum(axis=1, keepdims=True), clicks.sum(axis=1, keepdims=True)))

    z = found.pooled_mean[0] / np.sqrt(found.pooled_covariance[0, 0])
    z_collapsed = collapsed.pooled_mean[0] / np.sqrt(collapsed.pooled_covariance[0, 0])
    assert abs(z) < 3
    assert z_collapsed > 10, "counts without epochs would ship a variant that is no better"


def test_placements_that_agree_are_pooled_and_placements_that_differ_are_not() -> None:
    alike = pool(evidence(*traffic(np.tile([0.0, 0.1, 0.0], (P, 1)), seed=3, size=60_000)))
    flipped = np.where(np.arange(P)[:, None] < 6, [0.0, 0.15, -0.15], [0.0, -0.15, 0.15])
    apart = pool(evidence(*traffic(flipped, seed=3, size=60_000)))

    assert alike.tau_weights[:2].sum() > 0.9
    assert apart.tau_weights[-1] > 0.9
    assert np.all(apart.mean[:6, 0] > 0.05)
    assert np.all(apart.mean[6:, 0] < -0.05)


def random_evidence(seed: int) -> Evidence:
    rng = np.random.default_rng(seed)
    roots = rng.normal(0, 20, (P, 2, 4))
    information = roots @ roots.transpose(0, 2, 1)
    score = np.einsum("pij,pj->pi", information, rng.normal(0, 0.1, (P, 2)))
    return Evidence(information[:, None], score[:, None])  # a single epoch


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_no_spread_is_the_complete_pool(seed: int) -> None:
    found = random_evidence(seed)
    prior = np.linalg.inv(0.25 * (np.eye(2) + 1))
    total = found.information[:, 0].sum(axis=0) + prior
    mean = np.linalg.solve(total, found.score[:, 0].sum(axis=0))

    pooled = pool(found, taus=(0.0,), pooled=((1.0, 0.5),))

    assert pooled.mean == pytest.approx(np.tile(mean, (P, 1)), abs=1e-9)
    assert pooled.covariance == pytest.approx(np.tile(np.linalg.inv(total), (P, 1, 1)), abs=1e-9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_boundless_spread_leaves_every_placement_alone(seed: int) -> None:
    found = random_evidence(seed)
    alone = np.linalg.solve(found.information[:, 0], found.score[:, 0, :, None])[..., 0]

    pooled = pool(found, taus=(1e4,))

    assert pooled.mean == pytest.approx(alone, rel=1e-4, abs=1e-6)
    assert pooled.covariance == pytest.approx(np.linalg.inv(found.information[:, 0]), rel=1e-3, abs=1e-6)


def test_the_weights_of_tau_are_the_marginal_likelihood_of_the_hierarchy() -> None:
    """Against the density of all contrasts stacked: N(0, blocks of H^-1 + tau^2 J, plus 0.25 J everywhere)."""
    found = random_evidence(5)
    shape = np.eye(2) + 1
    alone = np.linalg.solve(found.information[:, 0], found.score[:, 0, :, None])[..., 0].ravel()
    log_density = []
    for tau in (0.02, 0.15):
        covariance = np.kron(np.ones((P, P)), 0.25 * shape)
        for p in range(P):
            block = slice(2 * p, 2 * p + 2)
            covariance[block, block] += np.linalg.inv(found.information[p, 0]) + tau**2 * shape
        log_density.append(-0.5 * (np.linalg.slogdet(covariance)[1] + alone @ np.linalg.solve(covariance, alone)))

    pooled = pool(found, taus=(0.02, 0.15), pooled=((1.0, 0.5),))

    odds = float(np.log(pooled.tau_weights[1] / pooled.tau_weights[0]))
    assert odds == pytest.approx(log_density[1] - log_density[0], rel=1e-6)


def test_without_counts_every_contrast_is_as_wide_as_its_prior() -> None:
    none = np.zeros((P, 0, K), np.int64)

    found = pool(evidence(none, none), pooled=((1.0, 0.5),))

    assert np.all(found.mean == 0)
    assert found.pooled_covariance == pytest.approx(0.25 * (np.eye(2) + 1))


def test_an_epoch_in_which_one_variant_served_alone_says_nothing() -> None:
    exposures, clicks = traffic(np.zeros((P, K)), seed=4)
    alone = np.zeros((P, 1, K), np.int64)
    alone[:, :, 1] = 100_000

    with_it = evidence(np.concatenate([exposures, alone], axis=1), np.concatenate([clicks, alone // 10], axis=1))

    without = evidence(exposures, clicks)
    assert with_it.information.sum(axis=1) == pytest.approx(without.information.sum(axis=1))
    assert with_it.information[:, -1] == pytest.approx(0)


def test_a_click_raises_its_own_variant() -> None:
    exposures, clicks = traffic(np.zeros((P, K)), seed=6, size=1000)
    one_more = clicks.copy()
    one_more[3, 5, 1] += 1

    before, after = pool(evidence(exposures, clicks)), pool(evidence(exposures, one_more))

    assert after.mean[3, 0] > before.mean[3, 0]
    assert after.pooled_mean[0] > before.pooled_mean[0]


def test_a_design_effect_of_four_doubles_the_standard_errors() -> None:
    counts = traffic(np.zeros((P, K)), seed=7, size=200_000)

    once = pool(evidence(*counts), taus=(0.0,))
    four = pool(evidence(*counts, design_effect=4.0), taus=(0.0,))

    ratio = np.sqrt(np.diag(four.pooled_covariance) / np.diag(once.pooled_covariance))
    assert ratio == pytest.approx([2, 2], rel=0.01)


def test_the_ridge_of_the_expansion_leaves_no_trace_in_the_evidence() -> None:
    """One epoch, 20 against 30 clicks of 1,000 each: the estimate is log(30 / 20), the information 1/(1/20 + 1/30)."""
    exposures, clicks = np.array([[[1000, 1000]]]), np.array([[[20, 30]]])

    found = evidence(exposures, clicks)

    assert found.score[0, 0, 0] / found.information[0, 0, 0, 0] == pytest.approx(np.log(30 / 20), rel=0.02)
    assert found.information[0, 0, 0, 0] == pytest.approx(1 / (1 / 20 + 1 / 30), rel=0.05)


PLACEMENTS, DAILY = 12, 6_000


def expected_counts(factor_by_day: Doubles, *, level: Doubles | None = None) -> tuple[Counts, Counts]:
    """(P, T, 2) counts without noise: the challenger's rate is `factor_by_day` times the control's 1.8 %."""
    days = len(factor_by_day)
    exposures = np.full((PLACEMENTS, days, 2), DAILY, np.int64)
    rates = 0.018 * (np.ones(days) if level is None else level)[:, None] * np.stack([np.ones(days), factor_by_day], 1)
    return exposures, np.round(exposures * rates).astype(np.int64)


def pooled(factor_by_day: Doubles, *, standardised: bool) -> tuple[float, float]:
    """Mean and standard deviation of the pooled log lift."""
    days = len(factor_by_day)
    calendar = standard_calendar(range(days)) if standardised else no_calendar(days)
    found = pool(evidence(*expected_counts(factor_by_day)), calendar=calendar)
    return float(found.pooled_mean[0]), float(np.sqrt(found.pooled_covariance[0, 0]))


def test_the_features_are_the_fading_novelty_and_one_mark_a_weekday() -> None:
    calendar = standard_calendar([0.0, 3.0, 7.5])

    assert calendar.features[:, 0] == pytest.approx(np.exp([0, -1, -2.5]))
    assert calendar.features[:, 1:].argmax(axis=1).tolist() == [0, 3, 0], "day 7 is the weekday of day 0"
    assert calendar.target @ np.r_[5.0, np.full(7, 2.0)] == pytest.approx(2.0), "the week's average, no novelty"


def test_a_novelty_that_turns_into_a_loss_is_not_reported_as_a_gain() -> None:
    novelty = 0.98 * (1 + 0.2 * np.exp(-np.arange(10) / 3))  # +17.6 % on the first day, -2 % for good

    plain, _ = pooled(novelty, standardised=False)
    lasting, deviation = pooled(novelty, standardised=True)

    assert plain > 0.03
    assert abs(lasting - np.log(0.98)) < deviation


def test_a_variant_that_only_weekends_like_is_no_better_over_the_week() -> None:
    weekend = np.where(np.arange(10) % 7 >= 5, 1.129, 1 - 0.4 * 0.129)  # 5 x -5.2 % and 2 x +12.9 %

    lasting, deviation = pooled(weekend, standardised=True)

    assert abs(lasting) < deviation


def test_weekdays_that_were_not_seen_widen_the_interval() -> None:
    constant = np.full(5, 1.1)

    _, plain = pooled(constant, standardised=False)
    _, lasting = pooled(constant, standardised=True)

    assert lasting > 1.5 * plain


def test_a_steady_lift_is_the_same_with_and_without_the_calendar() -> None:
    steady = np.full(14, 1.1)

    plain, _ = pooled(steady, standardised=False)
    lasting, _ = pooled(steady, standardised=True)

    assert plain == pytest.approx(np.log(1.1), abs=0.01)
    assert lasting == pytest.approx(plain, abs=0.015)


def test_many_experiments_at_once_are_each_as_if_alone() -> None:
    rng = np.random.default_rng(3)
    exposures = rng.poisson(3000, (4, PLACEMENTS, 9, 3))
    clicks = rng.binomial(exposures, 0.018)
    calendar = standard_calendar(range(9))

    together = pool(evidence(exposures, clicks), calendar=calendar)

    for e in range(4):
        alone = pool(evidence(exposures[e], clicks[e]), calendar=calendar)
        assert together.mean[e] == pytest.approx(alone.mean, abs=1e-9)
        assert together.covariance[e] == pytest.approx(alone.covariance, abs=1e-10)
        assert together.level_weights[e] == pytest.approx(alone.level_weights)
        assert alone.level_weights.sum() == pytest.approx(1)
