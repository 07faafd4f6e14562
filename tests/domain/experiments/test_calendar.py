"""A lift that is to last: neither the novelty of the first days nor a weekend."""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.experiments.evidence.posterior import evidence, no_calendar, pool, standard_calendar
from recommender.domain.models.arrays import Counts, Doubles

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
