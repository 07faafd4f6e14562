"""Weights follow the posterior, keep their floors, and are the same on every run.

When something is shipped: over a calibrated boundary, or where it loses least; else the control.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from recommender.domain.experiments.evidence.allocation import (
    CONTROL,
    UNDECIDED,
    Outlook,
    boundary_at,
    decide,
    lifts,
    next_weights,
    outlook,
    seed_of,
    with_floor,
    z_scores,
)
from recommender.domain.experiments.evidence.posterior import Posterior
from recommender.domain.experiments.running.design import Design
from recommender.domain.models.arrays import Doubles


def posterior(mean: list[float], deviation: float) -> Posterior:
    centre = np.array([mean])
    covariance = np.array([deviation**2 * (np.eye(len(mean)) + 1) / 2])
    return Posterior(centre, covariance, centre[0], covariance[0], np.array([1.0]), np.ones(1))


@given(
    weights=hnp.arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(2, 8)), elements=st.floats(0, 1)),
    floor_share=st.floats(0, 0.1),
)
def test_weights_sum_to_one_and_no_variant_falls_below_the_floor(weights: Doubles, floor_share: float) -> None:
    shares = (weights + 1e-6) / (weights + 1e-6).sum(axis=1, keepdims=True)

    lifted = with_floor(shares, floor_share)

    assert lifted.sum(axis=1) == pytest.approx(np.ones(len(weights)), abs=1e-9)
    assert np.all(lifted >= floor_share - 1e-12)


def test_equal_variants_share_the_traffic() -> None:
    view = outlook(posterior([0.0, 0.0], 0.1), seed=1)

    assert next_weights(view, allocation="top_two", floor_share=0.02)[0] == pytest.approx([1 / 3] * 3, abs=0.03)
    assert next_weights(view, allocation="thompson", floor_share=0.02)[0] == pytest.approx([1 / 3] * 3, abs=0.03)


def test_top_two_gives_the_control_as_much_traffic_as_the_best_challenger() -> None:
    view = outlook(posterior([0.10, -0.05], 0.02), seed=1)

    claim = next_weights(view, allocation="top_two", floor_share=0.02)[0]
    optimise = next_weights(view, allocation="thompson", floor_share=0.02)[0]

    assert claim[0] == pytest.approx(claim[1])
    assert claim[2] == pytest.approx(0.02, abs=0.01)
    assert optimise == pytest.approx([0.02, 0.96, 0.02])


def test_chances_and_losses_agree_with_the_normal_distribution() -> None:
    """One contrast d ~ N(0.1, 0.1^2): P(d > 0) = Phi(1) = .8413; E[(1 - e^d)+] for choosing the challenger."""
    mean, deviation = 0.1, 0.1
    found = Posterior(
        np.array([[mean]]),
        np.array([[[deviation**2]]]),
        np.array([mean]),
        np.array([[deviation**2]]),
        np.ones(1),
        np.ones(1),
    )

    view = outlook(found, seed=3, draws=200_000)

    assert view.best[0] == pytest.approx([1 - 0.8413, 0.8413], abs=0.003)
    assert view.second[0] == pytest.approx([0.8413, 1 - 0.8413], abs=0.003)
    # E[(1 - e^d)+] = Phi(-m/s) - e^(m + s^2/2) Phi(-m/s - s) = .15866 - 1.11071 * .13567
    assert view.expected_loss[0, 1] == pytest.approx(0.15866 - 1.11071 * 0.13567, abs=0.0005)


def test_the_same_epoch_draws_the_same_numbers_and_another_epoch_others() -> None:
    found = posterior([0.05, 0.02], 0.05)

    again = [outlook(found, seed=seed_of("exp_default", epoch)).best.tolist() for epoch in (4, 4, 5)]

    assert again[0] == again[1] != again[2]


def test_a_lift_is_reported_on_the_scale_of_click_rates() -> None:
    middle, low, high = lifts(np.array([np.log(1.1)]), np.array([[0.01**2]]))[0]

    assert middle == pytest.approx(1.1 - 1)
    assert low == pytest.approx(1.1 * np.exp(-1.959964 * 0.01) - 1)
    assert high == pytest.approx(1.1 * np.exp(1.959964 * 0.01) - 1)


def test_where_nothing_is_known_the_middle_of_a_lift_is_nothing() -> None:
    """The mean of so wide a log-normal would be exp(0.5^2 / 2) - 1 = +13 %."""
    assert lifts(np.array([0.0]), np.array([[0.5**2]]))[0][0] == 0.0


CLAIM = Design(max_days=28)
DAY = 14.0


def view(*losses: float) -> Outlook:
    """One placement with these expected losses, the control's first."""
    share = np.full((1, len(losses)), 1 / len(losses))
    return Outlook(share, share, np.array([losses]))


def test_z_is_the_mean_over_the_standard_deviation() -> None:
    assert z_scores(np.array([0.1, -0.04]), np.diag([0.05**2, 0.02**2])) == pytest.approx([2, -2])


def test_the_boundary_falls_to_its_constant_at_the_last_look() -> None:
    assert boundary_at(CLAIM, 2.0, 28) == pytest.approx(2.0)
    assert boundary_at(CLAIM, 2.0, 14) == pytest.approx(2.0 * 2**0.25)
    assert boundary_at(CLAIM, 2.0, 40) == pytest.approx(2.0), "a look that comes late is the last one"


def test_a_challenger_over_the_boundary_is_shipped_and_one_below_is_not() -> None:
    high, low = np.array([[2.5, 0.0]]), np.array([[2.3, 0.0]])  # 2.0 * 2^.25 = 2.378

    assert decide(CLAIM, high, view(0.05, 0.0, 0.05), constant=2.0, day=DAY).tolist() == [1]
    assert decide(CLAIM, low, view(0.05, 0.0, 0.05), constant=2.0, day=DAY).tolist() == [UNDECIDED]


def test_of_two_over_the_boundary_the_one_that_costs_less_is_shipped() -> None:
    assert decide(CLAIM, np.array([[3.0, 2.9]]), view(0.1, 0.02, 0.01), constant=2.0, day=DAY).tolist() == [2]


def test_a_placement_in_which_nothing_can_be_gained_keeps_the_control() -> None:
    assert decide(CLAIM, np.array([[-1.0, -2.0]]), view(0.002, 0.1, 0.1), constant=2.0, day=DAY).tolist() == [CONTROL]


def test_what_has_not_won_by_the_last_look_has_not_won() -> None:
    assert decide(CLAIM, np.array([[1.9, 0.0]]), view(0.05, 0.0, 0.05), constant=2.0, day=28).tolist() == [CONTROL]


def test_without_a_calibrated_constant_nothing_is_ever_claimed() -> None:
    assert decide(CLAIM, np.array([[9.0, 0.0]]), view(0.05, 0.0, 0.05), constant=None, day=DAY).tolist() == [UNDECIDED]


def test_under_optimise_the_smallest_expected_loss_decides_without_a_boundary() -> None:
    optimise = replace(CLAIM, rule="optimise", expected_loss=0.0025)
    z = np.array([[0.5, 0.0]])

    assert decide(optimise, z, view(0.01, 0.002, 0.02), constant=None, day=DAY).tolist() == [1]
    assert decide(optimise, z, view(0.01, 0.004, 0.02), constant=None, day=DAY).tolist() == [UNDECIDED]
    assert decide(optimise, z, view(0.01, 0.004, 0.02), constant=None, day=28).tolist() == [CONTROL]
