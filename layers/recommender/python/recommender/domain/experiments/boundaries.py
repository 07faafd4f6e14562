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
    DAILY: {
        (12, 2): 1.751,
        (8, 2): 1.726,
        (4, 2): 1.811,
        (2, 2): 1.996,
        (1, 2): 2.127,
        (12, 3): 2.224,
        (8, 3): 2.011,
        (4, 3): 2.026,
        (2, 3): 2.150,
        (1, 3): 2.327,
        (12, 4): 2.215,
        (8, 4): 2.158,
        (4, 4): 2.200,
        (2, 4): 2.269,
        (1, 4): 2.391,
        (12, 5): 2.278,
        (8, 5): 2.192,
        (4, 5): 2.218,
        (2, 5): 2.335,
    },
    WEEKLY: {
        (12, 2): 1.602,
        (8, 2): 1.576,
        (4, 2): 1.715,
        (2, 2): 1.930,
        (1, 2): 2.065,
        (12, 3): 1.882,
        (8, 3): 1.900,
        (4, 3): 1.946,
        (2, 3): 2.119,
        (1, 3): 2.239,
        (12, 4): 2.042,
        (8, 4): 1.925,
        (4, 4): 1.973,
        (2, 4): 2.155,
        (1, 4): 2.310,
        (12, 5): 2.070,
        (8, 5): 2.028,
        (4, 5): 2.020,
        (2, 5): 2.223,
        (1, 5): 2.387,
    },
    TIME_BOX: {
        (12, 2): 1.349,
        (8, 2): 1.388,
        (4, 2): 1.437,
        (2, 2): 1.524,
        (1, 2): 1.567,
        (12, 3): 1.483,
        (8, 3): 1.566,
        (4, 3): 1.682,
        (2, 3): 1.700,
        (1, 3): 1.684,
        (12, 4): 1.655,
        (8, 4): 1.764,
        (4, 4): 1.789,
        (2, 4): 1.797,
        (1, 4): 1.775,
        (12, 5): 1.824,
        (8, 5): 1.767,
        (4, 5): 1.835,
        (2, 5): 1.925,
        (1, 5): 1.853,
    },
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
