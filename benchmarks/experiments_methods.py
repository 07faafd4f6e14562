"""The methods that are compared: the product's pooled test, and what others do with the same traffic.

`fixed` is the textbook: equal shares for 28 days, one two-proportion z-test a challenger, Bonferroni over three.
`peeking` looks at that test every day from day 3 and stops at 1.96. `per_slot_thompson` moves traffic by plain Thompson
Sampling, each placement for itself, and ships at a boundary of its own calibration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Doubles
from recommender.domain.experiments.boundaries import WEEKLY, constant_for
from recommender.domain.experiments.design import WEEK_DAYS, Design
from recommender.domain.experiments.simulation import WEEKDAY_TRAFFIC, Course, Truth, simulate

from benchmarks.experiments_scenarios import HORIZON_DAYS, Scenario

BONFERRONI_Z: Final = 2.394  # two-sided 5 % over three comparisons
PEEKING_Z: Final = 1.96
PEEKING_FROM_DAY: Final = 3
PER_SLOT: Final = Design(allocation="thompson", standardised=False, maturation_days=2, boundary=2.19)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a method did in E experiments of P placements."""

    choice: NDArray[np.int64]  # (E, P) the variant that serves in the end
    day: Doubles  # (E, P) of the decision
    reported: Doubles  # (E, P) lift of the shipped challenger as reported, nan for the control
    lost: Doubles  # (E, P) share of the clicks lost against always serving the best


def pooled(scenario: Scenario, truth: Truth, rng: np.random.Generator) -> Outcome:
    """The product's default, or its time box."""
    return _product(scenario.design, truth, rng)


def pooled_whole_weeks(scenario: Scenario, truth: Truth, rng: np.random.Generator) -> Outcome:
    """The product without standardised weekdays: looks at whole weeks of data only."""
    return _product(WEEKLY, truth, rng)


def pooled_optimise(scenario: Scenario, truth: Truth, rng: np.random.Generator) -> Outcome:
    """The product under the rule `optimise`: ships what loses least, claims nothing."""
    return _product(replace(scenario.design, rule="optimise"), truth, rng)


def per_slot_thompson(scenario: Scenario, truth: Truth, rng: np.random.Generator) -> Outcome:
    """Each placement is an experiment of its own."""
    experiments, placements, variants = truth.lifts.shape
    alone = replace(truth, lifts=truth.lifts.reshape(experiments * placements, 1, variants))
    found = _product(PER_SLOT, alone, rng)
    shape = (experiments, placements)
    return Outcome(
        found.choice.reshape(shape), found.day.reshape(shape), found.reported.reshape(shape), found.lost.reshape(shape)
    )


def _product(design: Design, truth: Truth, rng: np.random.Generator) -> Outcome:
    constant = constant_for(design, placements=truth.lifts.shape[1], variants=truth.lifts.shape[2])
    course: Course = simulate(truth, design, constant=constant, rng=rng, horizon=HORIZON_DAYS)
    return Outcome(course.choice, course.day.astype(float), np.expm1(course.estimate), course.lost)


def fixed_and_peeking(truth: Truth, rng: np.random.Generator) -> tuple[Outcome, Outcome]:
    """Both textbook methods on the same 28 days of equal shares."""
    shape = truth.lifts.shape
    exposures, clicks = np.zeros(shape), np.zeros(shape)
    start = rng.integers(0, WEEK_DAYS, (shape[0],), dtype=np.int64)
    choice = np.zeros(shape[:2], np.int64)
    day_decided = np.full(shape[:2], float(HORIZON_DAYS))
    reported = np.full(shape[:2], np.nan)
    for day in range(HORIZON_DAYS):
        weekday = (start + day) % WEEK_DAYS
        mean = truth.daily_exposures / shape[2] * WEEKDAY_TRAFFIC[weekday][:, None, None]
        served = rng.poisson(np.broadcast_to(mean, shape))
        exposures += served
        clicks += rng.binomial(served, truth.rates(day, weekday))
        if day + 1 >= PEEKING_FROM_DAY:
            shipped, lift = _tested(exposures, clicks, PEEKING_Z)
            stops = (choice == 0) & (shipped > 0)
            choice = np.where(stops, shipped, choice)
            day_decided = np.where(stops, day + 1, day_decided)
            reported = np.where(stops, lift, reported)
    shipped, lift = _tested(exposures, clicks, BONFERRONI_Z)
    last = np.full(shape[:2], float(HORIZON_DAYS))
    return (
        Outcome(shipped, last, np.where(shipped > 0, lift, np.nan), _lost(truth, shipped, last)),
        Outcome(choice, day_decided, reported, _lost(truth, choice, day_decided)),
    )


def _tested(exposures: Doubles, clicks: Doubles, limit: float) -> tuple[NDArray[np.int64], Doubles]:
    """(E, P) the challenger with the largest z of those over the limit (0: none), and its observed lift."""
    rate = clicks / exposures
    common = (clicks[..., 1:] + clicks[..., :1]) / (exposures[..., 1:] + exposures[..., :1])
    error = np.sqrt(common * (1 - common) * (1 / exposures[..., 1:] + 1 / exposures[..., :1]))
    z = (rate[..., 1:] - rate[..., :1]) / error
    best = z.argmax(axis=-1)
    shipped = np.where(z.max(axis=-1) >= limit, best + 1, 0)
    lift = np.take_along_axis(rate, shipped[..., None], axis=-1)[..., 0] / rate[..., 0] - 1
    return shipped, lift


def _lost(truth: Truth, choice: NDArray[np.int64], day: Doubles) -> Doubles:
    """Equal shares up to the decision, the chosen variant from then on."""
    best = truth.lifts.max(axis=-1)
    chosen = np.take_along_axis(truth.lifts, choice[..., None], axis=-1)[..., 0]
    lost = (best - truth.lifts.mean(axis=-1)) * day + (best - chosen) * (HORIZON_DAYS - day)
    result: Doubles = lost / (1 + best) / HORIZON_DAYS
    return result
