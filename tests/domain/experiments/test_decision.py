"""When something is shipped: over a calibrated boundary, or where it loses least; else the control."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recommender.domain.experiments.evidence.allocation import (
    CONTROL,
    UNDECIDED,
    Outlook,
    boundary_at,
    decide,
    z_scores,
)
from recommender.domain.experiments.running.design import Design

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
