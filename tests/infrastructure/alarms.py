"""CloudWatch's rule on synthesised alarms, without an account: which data points make an alarm ring.

A fault is told as what happens in each slot of five minutes: metric -> the values that were emitted in it. An alarm
sees them through its own statistic and period. A data point is missing where nothing was emitted, and counts as the
alarm treats missing data; it rings when `DatapointsToAlarm` of any `EvaluationPeriods` successive ones breach.
A percentile of fewer values than CloudWatch wants leaves the alarm as it is, which here is quiet.
(CloudWatch also looks further back for data where some are missing, which makes an alarm ring more, never less.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

SLOT_SECONDS: Final = 300
Slots = list[list[float]]
BREACHES: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": lambda point, threshold: point > threshold,
    "LessThanThreshold": lambda point, threshold: point < threshold,
}
MISSING: Final = {"notBreaching": False, "breaching": True}
STATISTICS: Final[Mapping[str, Callable[[list[float]], float]]] = {"Sum": sum, "Maximum": max, "SampleCount": len}


@dataclass(frozen=True)
class Watched:
    """The metric of an alarm."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]  # values as text: a name, or the logical id that is referred to
    statistic: str
    period_seconds: int

    def points(self, happening: Mapping[str, Slots], slots: int) -> list[float | None]:
        values = happening.get(self.name, [[]] * slots)
        a_period = self.period_seconds // SLOT_SECONDS
        periods = [list(chain(*values[start : start + a_period])) for start in range(0, slots, a_period)]
        return [self._point(found) for found in periods]

    def _point(self, values: list[float]) -> float | None:
        """The statistic of a period; None without values, and for a percentile of too few of them."""
        if self.statistic in STATISTICS:
            return float(STATISTICS[self.statistic](values)) if values else None
        share = int(self.statistic.removeprefix("p")) / 100
        if len(values) < round(10 / (1 - share)):  # CloudWatch's rule, for percentiles from 50 on
            return None
        return sorted(values)[math.ceil(share * len(values)) - 1]


@dataclass(frozen=True)
class Alarm:
    """An alarm of a template."""

    name: str
    properties: Mapping[str, Any]

    @property
    def metric(self) -> Watched:
        dimensions = tuple(
            sorted((entry["Name"], _name(entry["Value"])) for entry in self.properties.get("Dimensions", ()))
        )
        statistic = self.properties.get("Statistic") or self.properties["ExtendedStatistic"]
        return Watched(
            self.properties["Namespace"],
            self.properties["MetricName"],
            dimensions,
            statistic,
            self.properties["Period"],
        )

    def rings(self, happening: Mapping[str, Slots]) -> bool:
        (slots,) = {len(values) for values in happening.values()}
        breaches, missing = (
            BREACHES[self.properties["ComparisonOperator"]],
            MISSING[self.properties["TreatMissingData"]],
        )
        bad = [
            missing if point is None else breaches(point, self.properties["Threshold"])
            for point in self.metric.points(happening, slots)
        ]
        span, enough = self.properties["EvaluationPeriods"], self.properties["DatapointsToAlarm"]
        return any(sum(bad[start : start + span]) >= enough for start in range(len(bad) - span + 1))


def alarms_of(resources: Mapping[str, Mapping[str, Any]]) -> list[Alarm]:
    return [Alarm(name, properties) for name, properties in resources.items()]


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value
    (target,) = value.values()
    return str(target[0] if isinstance(target, list) else target)
