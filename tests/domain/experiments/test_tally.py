"""The design effect is one for independent exposures and right for shoppers who come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from recommender.domain.experiments.evidence.tally import Tally, design_effect, exposure_clumping, tally
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount

CONFIG = replace(default_config(datetime(2026, 11, 23, tzinfo=UTC)), placements=("home_hero", "cart_cross_sell"))
P, T, K, S = 12, 4, 3, 8


def test_cells_find_their_place_and_other_segments_variants_and_placements_are_left_out() -> None:
    cells = [
        CellCount("exp_default", "cart_cross_sell", 5, "all", "hybrid", 10, 2, 3),
        CellCount("exp_default", "cart_cross_sell", 9, "all", "cohorts", 7, 1, 0),
        CellCount("exp_default", "cart_cross_sell", 9, "holdout", "cohorts", 100, 10, 0),
        CellCount("exp_default", "cart_cross_sell", 9, "all", "retired", 100, 10, 0),
        CellCount("exp_default", "retired", 9, "all", "cohorts", 100, 10, 0),
    ]

    counts = tally(CONFIG, cells)

    assert counts.epochs == (5, 9)
    assert counts.exposures[1, 0, 1, 3] == 10
    assert counts.clicks[1, 1, 0, 0] == 1
    assert counts.exposures.sum() == 10 + 7


def test_segments_are_counted_together_unless_one_is_asked_for() -> None:
    known = CellCount("exp_default", "home_hero", 5, "user", "hybrid", 10, 2)
    new = CellCount("exp_default", "home_hero", 5, "prior", "hybrid", 4, 1)
    held = CellCount("exp_default", "home_hero", 5, "holdout", "hybrid", 100, 10)

    assert tally(CONFIG, [known, new, held]).exposures.sum() == 10 + 4
    assert tally(CONFIG, [known, new, held], segment="user").clicks.sum() == 2
    assert tally(CONFIG, [known, new, held], segment="holdout").exposures.sum() == 100


def test_no_counts_have_a_design_effect_of_one() -> None:
    empty = np.zeros((P, 0, K, S), np.int64)

    assert design_effect(Tally((), empty, empty)) == exposure_clumping(Tally((), empty, empty)) == 1.0


def test_independent_exposures_have_a_design_effect_of_one() -> None:
    rng = np.random.default_rng(1)
    exposures = rng.poisson(500, (P, T, K, S))
    counts = Tally(tuple(range(T)), exposures, rng.binomial(exposures, 0.02))

    assert design_effect(counts) == pytest.approx(1, abs=0.3)
    assert exposure_clumping(counts) == pytest.approx(1, abs=0.3)


def test_shoppers_of_different_habit_have_the_design_effect_of_theory() -> None:
    """Click rate ~ Gamma with coefficient of variation 1, v ~ 1 + Poisson(3) visits in each of 4 epochs.

    A shopper's clicks given v: variance v r + v^2 r^2 against v r, so the effect is 1 + r E[V^2] / E[V]
    for V = sum of the visits: E[V] = 4 * 4 = 16 and E[V^2] = 16^2 + 4 * 3 = 268.
    """
    rng = np.random.default_rng(2)
    shoppers, rate = 20_000, 0.05
    shape = (P, T, K, S)
    exposures, clicks = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    habit = np.minimum(1, rng.gamma(1, rate, shoppers))
    shard = rng.integers(0, S, shoppers)
    for p in range(P):
        variant = rng.integers(0, K, shoppers)
        for t in range(T):
            visits = 1 + rng.poisson(3, shoppers)
            np.add.at(exposures[p, t], (variant, shard), visits)
            np.add.at(clicks[p, t], (variant, shard), rng.binomial(visits, habit))

    found = Tally(tuple(range(T)), exposures, clicks)

    assert design_effect(found) == pytest.approx(1 + 0.05 * 268 / 16, rel=0.2)
    assert exposure_clumping(found) == pytest.approx(268 / 16, rel=0.2)
