"""Simulated experiments follow the truth they are given, and their decisions the design."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recommender.domain.experiments.evidence.allocation import UNDECIDED
from recommender.domain.experiments.evidence.calibration import calibrate
from recommender.domain.experiments.evidence.simulation import WEEKDAY_RATE, WEEKDAY_TRAFFIC, Truth, simulate
from recommender.domain.experiments.running.design import CONSTANTS, DAILY, TIME_BOX, WEEKLY, Design, constant_for
from recommender.errors import InvalidInput

BOX = Design(time_box_days=10)


def truth(*lifts: float, experiments: int = 20, placements: int = 3) -> Truth:
    return Truth(np.broadcast_to(np.array(lifts), (experiments, placements, len(lifts))), 17_118.0, 0.018)


def test_weekdays_change_neither_the_mean_traffic_nor_the_mean_rate() -> None:
    assert WEEKDAY_TRAFFIC.mean() == pytest.approx(1)
    assert (WEEKDAY_TRAFFIC * WEEKDAY_RATE).mean() == pytest.approx(1)


def test_a_weekend_effect_cancels_over_a_week() -> None:
    both = replace(truth(0.0, 0.0), weekend=0.129)
    rates = [both.rates(day, np.array([day])) / WEEKDAY_RATE[day] for day in range(7)]

    assert np.mean([rate[0, 0, 1] / rate[0, 0, 0] for rate in rates]) == pytest.approx(1)


def test_a_big_lift_is_shipped_everywhere_at_the_first_look() -> None:
    course = simulate(truth(0.0, 0.4, 0.0), DAILY, constant=2.2, rng=np.random.default_rng(1))

    assert np.all(course.choice == 1)
    assert np.all(course.day == DAILY.look_days[0])
    assert np.nanmean(course.estimate) == pytest.approx(np.log(1.4), abs=0.06)


def test_clicks_are_lost_until_the_best_variant_serves_alone() -> None:
    course = simulate(truth(0.0, 0.5), BOX, constant=0.0, rng=np.random.default_rng(2), horizon=20)

    assert np.all(course.choice == 1)
    assert np.all(course.lost <= 10 / 20 * 0.5 * 0.5 / 1.5 + 1e-9), "ten days of at most half the traffic at -1/3"
    assert np.all(course.lost > 0)


def test_without_a_constant_nothing_is_decided_and_peaks_are_kept() -> None:
    course = simulate(truth(0.0, 0.0), BOX, constant=None, rng=np.random.default_rng(3), horizon=10)

    assert np.all(course.choice == UNDECIDED)
    assert np.all(np.isfinite(course.peak))


def test_the_constant_is_passed_by_the_registered_share_of_null_experiments() -> None:
    design = Design(time_box_days=10, error_share=0.1)

    found = calibrate(design, placements=2, variants=2, experiments=200, seed=4)
    fresh = simulate(
        truth(0.0, 0.0, experiments=400, placements=2), design, constant=found.boundary, rng=np.random.default_rng(5)
    )

    assert (fresh.choice == 1).mean() == pytest.approx(0.1, abs=0.05)
    assert 0 < found.standard_error < 0.3


def test_a_constant_from_too_few_experiments_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        calibrate(Design(error_share=0.02), placements=1, variants=2, experiments=50)
    assert refused.value.problems[0].pointer == "/experiments"


@pytest.mark.parametrize("design", [DAILY, WEEKLY, TIME_BOX])
def test_the_default_experiment_and_the_benchmark_have_constants(design: Design) -> None:
    assert constant_for(design, placements=12, variants=3)
    assert constant_for(design, placements=12, variants=4)


def test_a_shape_between_two_calibrated_ones_takes_the_safe_side() -> None:
    known = {DAILY: {(8, 3): 2.4, (12, 3): 2.2, (12, 4): 2.3}}

    def constant(placements: int, variants: int) -> float | None:
        return constant_for(DAILY, placements=placements, variants=variants, constants=known)

    assert constant(9, 3) == 2.4, "nine placements pool less than twelve"
    assert constant(12, 2) == 2.2
    assert constant(15, 4) == 2.3
    assert constant(12, 5) is None, "five variants are more chances than four"
    assert constant(4, 3) is None


def test_what_does_not_move_the_evidence_does_not_need_another_constant() -> None:
    assert constant_for(replace(DAILY, futility_loss=0.01), placements=12, variants=4) == CONSTANTS[DAILY][12, 4]


def test_a_design_with_its_own_constant_uses_it_and_an_unusual_one_has_none() -> None:
    assert constant_for(replace(DAILY, boundary=3.0), placements=12, variants=3) == 3.0
    assert constant_for(replace(DAILY, max_days=21), placements=12, variants=3) is None


def test_few_null_experiments_ship_even_when_traffic_and_clicks_drift() -> None:
    drifting = replace(truth(0.0, 0.0, 0.0, 0.0, experiments=60, placements=12), drift=0.02, sale=(8, 10, 1.5))

    course = simulate(drifting, DAILY, constant=CONSTANTS[DAILY][12, 4], rng=np.random.default_rng(6))

    assert (course.choice > 0).mean() <= 0.05
