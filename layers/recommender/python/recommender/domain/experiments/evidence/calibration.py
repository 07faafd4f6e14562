"""The constant of the boundary: how high the evidence climbs by chance when no variant is better.

Null experiments of the very design, with its looks, its moving weights and its pooling, give the distribution of the
highest z; its 1 - error_share quantile is the constant. Two thousand experiments fix it to about .04.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from recommender.contracts.fields import problem
from recommender.domain.experiments.evidence.simulation import Truth, simulate
from recommender.domain.experiments.running.design import Design
from recommender.domain.models.arrays import Doubles

LEAST_EXPERIMENTS: Final = 2_000
BATCH: Final = 200  # experiments at once: bounds the memory
RESAMPLES: Final = 200
DAILY_EXPOSURES: Final = 17_118.0  # of a placement: +10 % on 1.8 % in 28 days by the textbook (decision 113)
CLICK_RATE: Final = 0.018


@dataclass(frozen=True, slots=True)
class Calibration:
    """Constants for one design and shape, and how well they are known."""

    boundary: float  # for decisions by placement
    standard_error: float
    global_boundary: float  # for one decision over all placements
    experiments: int
    seed: int


def calibrate(
    design: Design,
    *,
    placements: int,
    variants: int,
    experiments: int = LEAST_EXPERIMENTS,
    seed: int = 1,
    daily_exposures: float = DAILY_EXPOSURES,
    click_rate: float = CLICK_RATE,
    progress: Callable[[int], object] = lambda done: None,
) -> Calibration:
    """Calibrate by null experiments; `progress` receives the number of finished ones after each batch."""
    if experiments < 2 / design.error_share:
        raise problem("/experiments", experiments, f"at least {2 / design.error_share:.0f}, better {LEAST_EXPERIMENTS}")
    rng = np.random.default_rng(seed)
    peaks, global_peaks = [], []
    for begin in range(0, experiments, BATCH):
        size = min(BATCH, experiments - begin)
        truth = Truth(np.zeros((size, placements, variants)), daily_exposures, click_rate)
        course = simulate(truth, replace(design, rule="claim"), constant=None, rng=rng, horizon=design.last_day)
        peaks.append(course.peak)
        global_peaks.append(course.global_peak)
        progress(begin + size)
    found = np.concatenate(peaks)  # (E, P)
    level = 1 - design.error_share
    return Calibration(
        boundary=float(np.quantile(found, level)),
        standard_error=_spread(found, level, rng),
        global_boundary=float(np.quantile(np.concatenate(global_peaks), level)),
        experiments=experiments,
        seed=seed,
    )


def _spread(peaks: Doubles, level: float, rng: np.random.Generator) -> float:
    """Standard error of the quantile over resampled experiments: the placements of one are not independent."""
    chosen: Sequence[Doubles] = [peaks[rng.integers(0, len(peaks), len(peaks))] for _ in range(RESAMPLES)]
    return float(np.std([np.quantile(sample, level) for sample in chosen]))
