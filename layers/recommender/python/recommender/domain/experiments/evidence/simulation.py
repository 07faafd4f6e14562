"""Experiments that never happened: the same posterior, weights and decisions over counts drawn from a known truth.

The boundary of a configuration is calibrated here (all variants equal), and the benchmark measures here how often
decisions are right. Everything is vectorised over experiments. One day is one epoch; weights change daily. Clicks come
85, 10 and 5 % on the day of the exposure, the next, and the one after, and are booked to the exposure's day.
Letters: E experiments, P placements, T days, K variants (control first), C = K - 1 challengers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.experiments.evidence.allocation import SHAPE, UNDECIDED, decide, next_weights, outlook, z_scores
from recommender.domain.experiments.evidence.posterior import evidence, pool, standard_calendar
from recommender.domain.experiments.running.design import WEEK_DAYS, Design
from recommender.domain.models.arrays import Counts, Doubles

_TRAFFIC: Final = np.array([1.0, 0.95, 0.95, 1.0, 1.05, 1.15, 0.90])  # Monday first
_RATE: Final = np.array([1.0, 0.97, 0.95, 0.97, 1.02, 1.12, 1.08])
WEEKDAY_TRAFFIC: Final = _TRAFFIC / _TRAFFIC.mean()
WEEKDAY_RATE: Final = _RATE / (WEEKDAY_TRAFFIC * _RATE).mean()  # 1 on average over exposures
ARRIVAL: Final = (0.85, 0.10, 0.05)  # share of the clicks after 0, 1 and 2 days
FLOOR_SHARE: Final = 0.02
DRAWS: Final = 128

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth that is simulated: lifts over a base rate, traffic, and other effects on clicks."""

    lifts: Doubles  # (E, P, K) relative: 0.1 is +10 %
    daily_exposures: float  # of a placement
    click_rate: float
    drift: float = 0.0  # the click rate of all variants grows by this share of its start each day
    sale: tuple[int, int, float] = (0, 0, 1.0)  # from day, to day (both included, the first is 1), factor
    weekend: float = 0.0  # variant 1 gains this share at weekends and loses 0.4 of it on weekdays: nothing over a week
    novelty: float = 0.0  # variant 1 gains this share on day 0, fading as e^(-day / novelty_days)
    novelty_days: float = 3.0
    arrival: tuple[float, ...] = ARRIVAL

    def rates(self, day: int, weekday: NDArray[np.int64]) -> Doubles:
        """Click rates (E, P, K) on a day (from 0) that falls on these weekdays (E,)."""
        first, last, factor = self.sale
        level = self.click_rate * (1 + self.drift * day) * (factor if first <= day + 1 <= last else 1.0)
        rates = level * (1 + self.lifts) * WEEKDAY_RATE[weekday][:, None, None]
        special = 1 + self.novelty * np.exp(-day / self.novelty_days)
        special = special * np.where(weekday >= 5, 1 + self.weekend, 1 - 0.4 * self.weekend)  # (E,)
        rates[:, :, 1] *= special[:, None]
        capped: Doubles = np.minimum(rates, 1.0)
        return capped


@dataclass(slots=True)
class Course:
    """Outcomes of simulated experiments."""

    choice: NDArray[np.int64]  # (E, P) variant that was shipped; 0 for the control, UNDECIDED where none yet
    day: Counts  # (E, P) of the decision
    estimate: Doubles  # (E, P) log lift of the shipped challenger as it was reported, nan for the control
    lost: Doubles  # (E, P) clicks lost against always serving the best variant, as a share
    peak: Doubles  # (E, P) largest z over looks and challengers, each over the shape of the boundary
    global_peak: Doubles  # (E,) the same of the pooled lift


def simulate(
    truth: Truth,
    design: Design,
    *,
    constant: float | None,
    rng: np.random.Generator,
    horizon: int = 28,
    progress: Progress = lambda day: None,
) -> Course:
    """Run experiments of this design to their end and count losses to the horizon; None decides nothing by z."""
    count_experiments, count_placements, count_variants = truth.lifts.shape
    days = max(horizon, design.last_day)
    exposures = np.zeros((count_experiments, count_placements, days, count_variants), np.int64)
    clicks = np.zeros((*exposures.shape, len(truth.arrival)), np.int64)
    weights = np.full(truth.lifts.shape, 1 / count_variants)
    shape = truth.lifts.shape[:2]
    course = Course(
        np.full(shape, UNDECIDED, np.int64),
        np.zeros(shape, np.int64),
        np.full(shape, np.nan),
        np.zeros(shape),
        np.full(shape, -np.inf),
        np.full(count_experiments, -np.inf),
    )
    start: Counts = rng.integers(0, WEEK_DAYS, (count_experiments,), dtype=np.int64)
    best = truth.lifts.max(axis=-1, keepdims=True)
    regret = (best - truth.lifts) / (1 + best)  # (E, P, K)
    seed = int(rng.integers(2**32))
    for day in range(1, days + 1):
        course.lost += (weights * regret).sum(axis=-1) / days
        _serve(truth, weights, day - 1, start, exposures, clicks, rng)
        first, upto = design.drop_days, day - design.maturation_days
        if upto > first and day <= design.last_day and (course.choice == UNDECIDED).any():
            seen = _visible(clicks, first, upto, day)
            weights = _look(design, course, weights, exposures[:, :, first:upto], seen, constant, day, seed)
        progress(day)
    return course


def _serve(
    truth: Truth,
    weights: Doubles,
    day: int,
    start: Counts,
    exposures: Counts,
    clicks: Counts,
    rng: np.random.Generator,
) -> None:
    """Draw the exposures and clicks of one day into the arrays."""
    weekday = (start + day) % WEEK_DAYS
    traffic = truth.daily_exposures * WEEKDAY_TRAFFIC[weekday][:, None]
    total = rng.poisson(np.broadcast_to(traffic, weights.shape[:2]))
    exposures[:, :, day] = rng.multinomial(total, weights)
    clicked = rng.binomial(exposures[:, :, day], truth.rates(day, weekday))
    clicks[:, :, day] = rng.multinomial(clicked, truth.arrival)


def _visible(clicks: Counts, first: int, upto: int, day: int) -> Counts:
    """Clicks (E, P, T, K) of the exposures of days first .. upto - 1 that had arrived at the end of `day`."""
    arrived = [clicks[:, :, t, :, : day - t].sum(axis=-1) for t in range(first, upto)]
    return np.stack(arrived, axis=2)


def _look(
    design: Design,
    course: Course,
    weights: Doubles,
    exposures: Counts,
    clicks: Counts,
    constant: float | None,
    day: int,
    seed: int,
) -> Doubles:
    """Estimate, decide where a decision is due, and return the weights of the next day."""
    found = evidence(exposures, clicks)
    present = pool(found)
    view = outlook(present, seed=seed + day, draws=DRAWS)
    is_open = course.choice == UNDECIDED
    wanted = next_weights(view, allocation=design.allocation, floor_share=FLOOR_SHARE)
    weights = np.where(is_open[..., None], wanted, weights)
    if day not in design.look_days:
        return weights
    posterior = present
    if design.standardised:
        days = range(design.drop_days, design.drop_days + exposures.shape[2])
        posterior = pool(found, calendar=standard_calendar(days))
        view = outlook(posterior, seed=seed + day, draws=DRAWS)
    z = z_scores(posterior.mean, posterior.covariance)
    pooled_z = z_scores(posterior.pooled_mean, posterior.pooled_covariance)
    scale = (design.last_day / day) ** SHAPE
    course.peak = np.maximum(course.peak, z.max(axis=-1) / scale)
    course.global_peak = np.maximum(course.global_peak, pooled_z.max(axis=-1) / scale)
    if constant is None:
        return weights
    choice = decide(design, z, view, constant=constant, day=day)
    now = is_open & (choice != UNDECIDED)
    course.choice = np.where(now, choice, course.choice)
    course.day = np.where(now, day, course.day)
    reported = np.take_along_axis(posterior.mean, np.maximum(choice - 1, 0)[..., None], axis=-1)[..., 0]
    course.estimate = np.where(now & (choice > 0), reported, course.estimate)
    shipped = np.eye(weights.shape[-1])[np.maximum(course.choice, 0)]
    return np.where((course.choice == UNDECIDED)[..., None], weights, shipped)
