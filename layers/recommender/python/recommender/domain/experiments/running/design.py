"""The design of an experiment: registered before it starts, never changed while it runs.

Two rules. `claim` ships a challenger whose evidence crosses a calibrated boundary, so that a false "it is better"
happens as seldom as registered. `optimise` ships what costs least in expectation and claims nothing. Days are counted
from the start of the experiment, pauses left out; a look at day d sees the epochs that ended a maturation before it.

Calibrated constants of the usual designs, so that an experiment can start without a simulation of its own.

`recommender bench experiments --calibrate` prints this table from null experiments (calibration.py).

Decisions: docs/decisions/experiments-design.md (117).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from recommender.contracts.fields import problem

RULES: Final = ("claim", "optimise")
LOOKS: Final = ("day", "week")
ALLOCATIONS: Final = ("top_two", "thompson")
WEEK_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Design:
    """The registered plan of decisions. Days are days since the start; shares are 0..1."""

    rule: str = "claim"  # of RULES
    looks: str = "day"  # of LOOKS: decide every day from `first_look_day` on, or at whole weeks of data
    allocation: str = "top_two"  # of ALLOCATIONS: protects the control and learns most, or loses the fewest clicks
    standardised: bool = (
        True  # estimates the average week after novelty; else weekdays and first days count as they come
    )
    first_look_day: int = 7  # of data
    max_days: int = 28  # at the last look what has not won keeps the control
    time_box_days: int = 0  # > 0: one single look, on this day
    maturation_days: int = 1  # clicks may come this late; no decision rests on younger epochs
    drop_days: int = 0  # first days that are left out of every look: novelty
    error_share: float = 0.02  # P(ship | all equal) of each placement
    futility_loss: float = 0.0025  # keep the control where not keeping it would gain less than this share of clicks
    expected_loss: float = 0.0025  # `optimise` ships at an expected loss below this share of clicks
    least_clicks: int = 20  # of a variant and of the control, below which no lift is shown
    boundary: float = 0.0  # the calibrated constant; 0 where it is looked up by the shape of the experiment

    def __post_init__(self) -> None:
        """Refuse what could never decide."""
        if self.rule not in RULES:
            raise problem("/design/rule", self.rule, "one of " + ", ".join(RULES))
        if self.allocation not in ALLOCATIONS:
            raise problem("/design/allocation", self.allocation, "one of " + ", ".join(ALLOCATIONS))
        if self.looks not in LOOKS:
            raise problem("/design/looks", self.looks, "one of " + ", ".join(LOOKS))
        for name, low in (
            ("first_look_day", 1),
            ("max_days", 1),
            ("time_box_days", 0),
            ("maturation_days", 0),
            ("drop_days", 0),
            ("least_clicks", 1),
        ):
            if getattr(self, name) < low:
                raise problem(f"/design/{name}", getattr(self, name), f"at least {low}")
        if not 0 < self.error_share < 0.5:
            raise problem("/design/error_share", self.error_share, "above 0 and below 0.5")
        if not self.look_days:
            raise problem(
                "/design/max_days",
                self.max_days,
                f"at least {self._first_look} days, the day of the first look of this design",
            )

    @property
    def look_days(self) -> tuple[int, ...]:
        """The days on which a decision may fall."""
        if self.time_box_days:
            return (self.time_box_days,)
        step = WEEK_DAYS if self.looks == "week" else 1
        days = tuple(range(self._first_look, self.max_days + 1, step))
        return days if not days or days[-1] == self.max_days else (*days, self.max_days)

    @property
    def last_day(self) -> int:
        """The day of the last look."""
        return self.look_days[-1]

    @property
    def _first_look(self) -> int:
        weeks = -(-self.first_look_day // WEEK_DAYS) * WEEK_DAYS
        data = weeks if self.looks == "week" else self.first_look_day
        return data + self.maturation_days + self.drop_days


def design_to_json(design: Design) -> dict[str, Any]:
    """The design as JSON values."""
    return asdict(design)


def design_from_json(body: Mapping[str, Any]) -> Design:
    """The inverse of `design_to_json`; raises InvalidInput for a field that a design does not have."""
    unknown = sorted(set(body) - set(Design.__dataclass_fields__))
    if unknown:
        raise problem(f"/design/{unknown[0]}", body[unknown[0]], "a field of a design: " + ", ".join(FIELDS))
    return Design(**body)


FIELDS: Final = tuple(Design.__dataclass_fields__)


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
