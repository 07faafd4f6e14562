"""Calibrated constants of the usual designs, so that an experiment can start without a simulation of its own.

`python -m benchmarks.experiments --calibrate` prints this table from null experiments (calibration.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from recommender.domain.experiments.design import Design

DAILY: Final = Design()
WEEKLY: Final = Design(looks="week", standardised=False, maturation_days=2)
TIME_BOX: Final = Design(time_box_days=10)

Constants = Mapping[Design, Mapping[tuple[int, int], float]]  # design -> (placements, variants) -> constant

CONSTANTS: Final[Constants] = {
    DAILY: {(12, 4): 2.215},
    WEEKLY: {(12, 4): 2.042},
    TIME_BOX: {(12, 4): 1.655},
}


def constant_for(design: Design, *, placements: int, variants: int, constants: Constants = CONSTANTS) -> float | None:
    """The registered constant, else that of the calibrated shape next to this one on the safe side; None without.

    Fewer placements pool less and more variants are more chances, so both raise the constant.
    """
    if design.boundary > 0:
        return design.boundary
    plain = replace(design, rule="claim", **{name: getattr(DAILY, name) for name in ("futility_loss", "expected_loss")})
    known = constants.get(plain, {})
    safe = [(-p, k) for p, k in known if p <= placements and k >= variants]
    if not safe:
        return None
    fewest, most = min(safe)
    return known[-fewest, most]
