"""The truths that experiments are run on: what is better, by how much, and what makes it hard to see.

12 placements, a control and 3 challengers, clicked 1.8 % of the time; traffic is what a textbook test of 28 days needs
to find +10 % (17,118 exposures a placement and day: Bonferroni over three comparisons, power 80 %).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from recommender.domain.arrays import Doubles
from recommender.domain.experiments.boundaries import DAILY, TIME_BOX
from recommender.domain.experiments.calibration import CLICK_RATE, DAILY_EXPOSURES
from recommender.domain.experiments.design import Design
from recommender.domain.experiments.simulation import Truth

PLACEMENTS: Final = 12
VARIANTS: Final = 4
HORIZON_DAYS: Final = 28


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
        """What the pooled method registers."""
        return TIME_BOX if self.time_box else DAILY

    def truth(self, experiments: int, rng: np.random.Generator, *, placements: int = PLACEMENTS) -> Truth:
        """Draw experiments of this scenario."""
        truth = Truth(
            self._drawn(experiments, placements, rng),
            DAILY_EXPOSURES,
            CLICK_RATE,
            drift=self.drift,
            sale=self.sale,
            weekend=self.weekend,
            novelty=self.novelty,
        )
        return replace(truth, arrival=self.arrival) if self.arrival else truth

    def _drawn(self, experiments: int, placements: int, rng: np.random.Generator) -> Doubles:
        lifts = np.zeros((experiments, placements, VARIANTS))
        lifts[..., 1:] = self.lifts
        lifts[..., 1:] += self.shared * rng.standard_normal((experiments, 1, VARIANTS - 1))
        lifts[..., 1:] += self.spread * rng.standard_normal((experiments, placements, VARIANTS - 1))
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
