"""How an experiment decides: registered before it starts, never changed while it runs.

Two rules. `claim` ships a challenger whose evidence crosses a calibrated boundary, so that a false "it is better"
happens as seldom as registered. `optimise` ships what costs least in expectation and claims nothing. Days are counted
from the start of the experiment, pauses left out; a look at day d sees the epochs that ended a maturation before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
