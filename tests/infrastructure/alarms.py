"""CloudWatch's rule on synthesised alarms, without an account: which data points make an alarm ring.

A fault is told as what happens in each slot of five minutes: metric -> the values that were emitted in it. An alarm
sees them through its own statistic and period. A data point is missing where nothing was emitted, and counts as the
alarm treats missing data; it rings when `DatapointsToAlarm` of any `EvaluationPeriods` successive ones breach.
(CloudWatch also looks further back for data where some are missing, which makes an alarm ring more, never less.)
"""

from __future__ import annotations

import re
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
SHARE: Final = re.compile(r"IF\((\w+) >= (\d+), 100 \* (\w+) / \1, 0\)")


@dataclass(frozen=True)
class Watched:
    """One metric of an alarm."""

    id: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]  # values as text: a name, or the logical id that is referred to
    statistic: str
    period_seconds: int

    def points(self, happening: Mapping[str, Slots], slots: int) -> list[float | None]:
        values = happening.get(self.name, [[]] * slots)
        a_period = self.period_seconds // SLOT_SECONDS
        periods = [list(chain(*values[start : start + a_period])) for start in range(0, slots, a_period)]
        return [float(STATISTICS[self.statistic](found)) if found else None for found in periods]


@dataclass(frozen=True)
class Alarm:
    """An alarm of a template."""

    name: str
    properties: Mapping[str, Any]

    @property
    def metrics(self) -> list[Watched]:
        if "MetricName" in self.properties:
            return [_watched("", self.properties, self.properties)]
        stats = [entry for entry in self.properties["Metrics"] if "MetricStat" in entry]
        return [_watched(entry["Id"], entry["MetricStat"]["Metric"], entry["MetricStat"]) for entry in stats]

    def rings(self, happening: Mapping[str, Slots]) -> bool:
        (slots,) = {len(values) for values in happening.values()}
        breaches, missing = (
            BREACHES[self.properties["ComparisonOperator"]],
            MISSING[self.properties["TreatMissingData"]],
        )
        bad = [
            missing if point is None else breaches(point, self.properties["Threshold"])
            for point in self._points(happening, slots)
        ]
        span, enough = self.properties["EvaluationPeriods"], self.properties["DatapointsToAlarm"]
        return any(sum(bad[start : start + span]) >= enough for start in range(len(bad) - span + 1))

    def _points(self, happening: Mapping[str, Slots], slots: int) -> list[float | None]:
        points = {metric.id: metric.points(happening, slots) for metric in self.metrics}
        if "" in points:
            return points[""]
        (expression,) = (entry["Expression"] for entry in self.properties["Metrics"] if "Expression" in entry)
        shape = SHARE.fullmatch(expression)
        assert shape, f"{self.name} has an expression that this rule cannot judge: {expression}"
        whole, least, part = shape.groups()
        return [
            None if of is None or some is None else 100 * some / of if of >= int(least) else 0.0
            for of, some in zip(points[whole], points[part], strict=True)
        ]


def alarms_of(resources: Mapping[str, Mapping[str, Any]]) -> list[Alarm]:
    return [Alarm(name, properties) for name, properties in resources.items()]


def _watched(metric_id: str, metric: Mapping[str, Any], stat: Mapping[str, Any]) -> Watched:
    dimensions = tuple(sorted((entry["Name"], _name(entry["Value"])) for entry in metric.get("Dimensions", ())))
    statistic = stat.get("Statistic") or stat["Stat"]
    return Watched(metric_id, metric["Namespace"], metric["MetricName"], dimensions, statistic, stat["Period"])


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value
    (target,) = value.values()
    return str(target[0] if isinstance(target, list) else target)
