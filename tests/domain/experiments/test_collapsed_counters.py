"""Why epochs are kept apart: counters that were summed over them name winners where there are none.

Simulated: three variants that are all equal, click rates that rise by 2 % a day and are half as high again on sale
days, Thompson Sampling that moves the traffic every second day by what it has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from recommender.contracts.tables import COUNTER_SHARDS
from recommender.domain.experiments.evidence.analysis import Look, look
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount, merged
from recommender.domain.experiments.running.design import Design
from recommender.domain.models.arrays import Doubles

NOW = datetime(2026, 11, 2, tzinfo=UTC)
DESIGN = Design(rule="optimise", allocation="thompson", standardised=False)
CONFIG = replace(default_config(NOW), placements=("home_hero", "home_trending", "pdp_similar"), design=DESIGN)
EPOCHS, DAYS, UNITS = 14, 2, 12_000
EXPERIMENTS = 8


def counted(rng: np.random.Generator, epoch: int, weights: Doubles) -> list[CellCount]:
    """Exposures by the weights (P, K), clicks at one and the same rate for all variants."""
    rate = 0.018 * 1.02 ** (DAYS * (epoch - 1)) * (1.5 if epoch % 4 == 0 else 1.0)
    exposures = rng.multinomial(rng.multinomial(UNITS, weights), [1 / COUNTER_SHARDS] * COUNTER_SHARDS)  # (P, K, S)
    clicks = rng.binomial(exposures, rate)
    return [
        CellCount(CONFIG.experiment_id, placement, epoch, "all", variant, int(exposures[at]), int(clicks[at]), shard)
        for p, placement in enumerate(CONFIG.placements)
        for k, variant in enumerate(CONFIG.variants)
        for shard in range(COUNTER_SHARDS)
        for at in [(p, k, shard)]
    ]


def apart(cells: list[CellCount], epoch: int) -> Look:
    """The product's analysis."""
    started = {n: NOW + timedelta(days=DAYS * (n - 1)) for n in range(1, epoch + 1)}
    return look(CONFIG, cells, epoch=epoch, started=started, now=NOW + timedelta(days=DAYS * epoch))


def collapsed(cells: list[CellCount], epoch: int) -> Look:
    """The mutant: the same analysis of counters that know no epoch."""
    summed = merged(replace(cell, epoch=1) for cell in cells)
    return look(CONFIG, summed, epoch=1, started={1: NOW}, now=NOW + timedelta(days=DAYS * epoch))


def has_false_winner(seed: int, analysis: Callable[[list[CellCount], int], Look]) -> bool:
    """True where a challenger is ever best with 95 % probability in any placement."""
    rng, cells = np.random.default_rng(seed), list[CellCount]()
    weights = np.full((len(CONFIG.placements), len(CONFIG.variants)), 1 / len(CONFIG.variants))
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
