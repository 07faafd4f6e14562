"""The design effect is one for independent exposures and right for shoppers who come back.

Why epochs are kept apart: counters that were summed over them name winners where there are none.

Simulated: three variants that are all equal, click rates that rise by 2 % a day and are half as high again on sale
days, Thompson Sampling that moves the traffic every second day by what it has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from recommender.contracts.tables import COUNTER_SHARDS
from recommender.domain.experiments.evidence.analysis import Look, look
from recommender.domain.experiments.evidence.tally import Tally, design_effect, exposure_clumping, tally
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount, merged
from recommender.domain.experiments.running.design import Design
from recommender.domain.models.arrays import Doubles

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


NOW = datetime(2026, 11, 2, tzinfo=UTC)
DESIGN = Design(rule="optimise", allocation="thompson", standardised=False)
MIXED = replace(default_config(NOW), placements=("home_hero", "home_trending", "pdp_similar"), design=DESIGN)
EPOCHS, DAYS, UNITS = 14, 2, 12_000
EXPERIMENTS = 8


def counted(rng: np.random.Generator, epoch: int, weights: Doubles) -> list[CellCount]:
    """Exposures by the weights (P, K), clicks at one and the same rate for all variants."""
    rate = 0.018 * 1.02 ** (DAYS * (epoch - 1)) * (1.5 if epoch % 4 == 0 else 1.0)
    exposures = rng.multinomial(rng.multinomial(UNITS, weights), [1 / COUNTER_SHARDS] * COUNTER_SHARDS)  # (P, K, S)
    clicks = rng.binomial(exposures, rate)
    return [
        CellCount(MIXED.experiment_id, placement, epoch, "all", variant, int(exposures[at]), int(clicks[at]), shard)
        for p, placement in enumerate(MIXED.placements)
        for k, variant in enumerate(MIXED.variants)
        for shard in range(COUNTER_SHARDS)
        for at in [(p, k, shard)]
    ]


def apart(cells: list[CellCount], epoch: int) -> Look:
    """The product's analysis."""
    started = {n: NOW + timedelta(days=DAYS * (n - 1)) for n in range(1, epoch + 1)}
    return look(MIXED, cells, epoch=epoch, started=started, now=NOW + timedelta(days=DAYS * epoch))


def collapsed(cells: list[CellCount], epoch: int) -> Look:
    """The mutant: the same analysis of counters that know no epoch."""
    summed = merged(replace(cell, epoch=1) for cell in cells)
    return look(MIXED, summed, epoch=1, started={1: NOW}, now=NOW + timedelta(days=DAYS * epoch))


def has_false_winner(seed: int, analysis: Callable[[list[CellCount], int], Look]) -> bool:
    """True where a challenger is ever best with 95 % probability in any placement."""
    rng, cells = np.random.default_rng(seed), list[CellCount]()
    weights = np.full((len(MIXED.placements), len(MIXED.variants)), 1 / len(MIXED.variants))
    for epoch in range(1, EPOCHS + 1):
        cells += counted(rng, epoch, weights)
        found = analysis(cells, epoch)
        weights = found.weights / found.weights.sum(axis=1, keepdims=True)
        if (found.outlook.best[:, 1:] >= 0.95).any():
            return True
    return False


def test_collapsed_counters_find_false_winners_under_drifting_traffic_and_epochs_kept_apart_do_not() -> None:
    real = sum(has_false_winner(seed, apart) for seed in range(EXPERIMENTS))
    mutant = sum(has_false_winner(seed, collapsed) for seed in range(EXPERIMENTS))

    assert real <= 1
    assert mutant >= EXPERIMENTS - 2
