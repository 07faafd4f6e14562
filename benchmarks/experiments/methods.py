"""The compared methods, the simulated truths that they run on, and the calibration of the product's own constants.

`fixed` is the textbook: equal shares for 28 days, one two-proportion z-test a challenger, Bonferroni over three.
`peeking` looks at that test every day from day 3 and stops at 1.96. `per_slot_thompson` runs plain Thompson Sampling in
each placement alone and ships at a boundary of its own calibration. A truth has 12 placements, a control and 3
challengers, clicked 1.8 % of the time, and the traffic that a textbook test of 28 days needs to find +10 % (17,118
exposures a placement and day: Bonferroni over three comparisons, power 80 %). Letters: E experiments, P placements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from recommender.domain.experiments.evidence.calibration import CLICK_RATE, DAILY_EXPOSURES, calibrate
from recommender.domain.experiments.evidence.simulation import WEEKDAY_TRAFFIC, Course, Truth, simulate
from recommender.domain.experiments.running.design import DAILY, TIME_BOX, WEEK_DAYS, WEEKLY, Design, constant_for
from recommender.domain.models.arrays import Doubles
from tqdm import tqdm

PLACEMENTS: Final = 12
VARIANTS: Final = 4
HORIZON_DAYS: Final = 28
BONFERRONI_Z: Final = 2.394  # two-sided 5 % over three comparisons
PEEKING_Z: Final = 1.96
PEEKING_FROM_DAY: Final = 3
PER_SLOT: Final = Design(allocation="thompson", standardised=False, maturation_days=2, boundary=2.19)
DESIGNS: Final[dict[str, Design]] = {"daily": DAILY, "time_box": TIME_BOX, "weekly": WEEKLY, "per_slot": PER_SLOT}
SHAPES: Final = tuple((p, k) for k in (4, 3, 2, 5) for p in (12, 8, 4, 2, 1))  # placements, variants
SMALL: Final = 4  # placements below which more experiments are needed for the same precision, and cost no more


@dataclass(frozen=True, slots=True)
class Scenario:
    """One truth, in words and as numbers. `lifts` are the challengers' relative lifts, the same in every placement."""

    meaning: str
    lifts: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spread: float = 0.0  # sd of a challenger's lift between placements
    shared: float = 0.0  # sd of a challenger's lift over experiments
    swapped: int = 0  # placements, from the end, in which challengers 1 and 2 change places
    harmed: int = 0  # placements, from the start, in which challenger 1 loses as much as it gains elsewhere
    drift: float = 0.0
    sale: tuple[int, int, float] = (0, 0, 1.0)
    weekend: float = 0.0
    novelty: float = 0.0
    arrival: tuple[float, ...] | None = None
    time_box: bool = False

    @property
    def design(self) -> Design:
        """The design that the pooled method registers."""
        return TIME_BOX if self.time_box else DAILY

    def truth(self, experiments: int, rng: np.random.Generator) -> Truth:
        """Draw experiments of this scenario."""
        truth = Truth(
            self._drawn(experiments, rng),
            DAILY_EXPOSURES,
            CLICK_RATE,
            drift=self.drift,
            sale=self.sale,
            weekend=self.weekend,
            novelty=self.novelty,
        )
        return replace(truth, arrival=self.arrival) if self.arrival else truth

    def _drawn(self, experiments: int, rng: np.random.Generator) -> Doubles:
        lifts = np.zeros((experiments, PLACEMENTS, VARIANTS))
        lifts[..., 1:] = self.lifts
        lifts[..., 1:] += self.shared * rng.standard_normal((experiments, 1, VARIANTS - 1))
        lifts[..., 1:] += self.spread * rng.standard_normal((experiments, PLACEMENTS, VARIANTS - 1))
        if self.swapped:
            lifts[:, -self.swapped :, [1, 2]] = lifts[:, -self.swapped :, [2, 1]]
        lifts[:, : self.harmed, 1] *= -1
        return lifts


def _lift(size: float) -> tuple[float, float, float]:
    return (size, 0.0, 0.0)


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "null": Scenario("nothing is better"),
    "null_drift": Scenario(
        "nothing is better; clicks grow by 2 % a day, and by half on days 8-10", drift=0.02, sale=(8, 10, 1.5)
    ),
    "null_weekend": Scenario(
        "a challenger is better at weekends and worse on weekdays: no lift over a week", weekend=0.129
    ),
    "null_delay": Scenario("nothing is better; half of the clicks come one or two days late", arrival=(0.5, 0.3, 0.2)),
    "lift_3": Scenario("one challenger +3 %", _lift(0.03)),
    "lift_5": Scenario("one challenger +5 %", _lift(0.05)),
    "lift_7_5": Scenario("one challenger +7.5 %", _lift(0.075)),
    "lift_10": Scenario("one challenger +10 %", _lift(0.10)),
    "time_box_3": Scenario("+3 %, one look on day 10", _lift(0.03), time_box=True),
    "time_box_5": Scenario("+5 %, one look on day 10", _lift(0.05), time_box=True),
    "time_box_7_5": Scenario("+7.5 %, one look on day 10", _lift(0.075), time_box=True),
    "time_box_null": Scenario("nothing is better, one look on day 10", time_box=True),
    "heterogeneous": Scenario("+10, +3, -2 %, each with sd 4 % between placements", (0.10, 0.03, -0.02), spread=0.04),
    "flipped": Scenario(
        "two challengers +10 and -10 %, the other way round in half of the placements", (0.1, -0.1, 0), swapped=6
    ),
    "one_bad": Scenario("+10 % in 11 placements, -10 % in one", _lift(0.10), harmed=1),
    "novelty": Scenario("+20 % on the first day, fading over 3 days to -2 %", _lift(-0.02), novelty=0.2),
    "portfolio": Scenario("challengers N(0, 4 %), and N(0, 2 %) between placements", shared=0.04, spread=0.02),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decisions of a method in E experiments of P placements."""

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
    """The product under the rule `optimise`: ships the variant with the least loss, claims nothing."""
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


def calibration_table(designs: Sequence[str], *, experiments: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row for each shape and design, as soon as it is known."""
    todo = [(shape, name) for shape in SHAPES for name in designs if name != "per_slot" or shape == (1, VARIANTS)]
    for (placements, variants), name in tqdm(todo, desc="calibrate", unit="constant"):
        found = calibrate(
            DESIGNS[name],
            placements=placements,
            variants=variants,
            experiments=experiments * max(1, SMALL // placements),
            seed=seed,
        )
        yield {
            "design": name,
            "placements": placements,
            "variants": variants,
            "boundary": round(found.boundary, 3),
            "standard_error": round(found.standard_error, 3),
            "global_boundary": round(found.global_boundary, 3),
            "experiments": found.experiments,
            "seed": seed,
        }
