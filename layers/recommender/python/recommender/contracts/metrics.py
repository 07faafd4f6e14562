"""The metrics that functions emit: who emits each, and which alarm watches it or why none does.

Each carries the dimension `service`, the function's name (powertools takes it from POWERTOOLS_SERVICE_NAME). CDK
makes the alarms from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NAMESPACE: Final = "Recommender"
DEGRADED: Final = "Degraded"
EVENTS_REJECTED: Final = "EventsRejected"
EVENTS_UNCREDITED: Final = "EventsUncredited"
BUNDLE_REFUSED: Final = "BundleRefused"
UNKNOWN_ANCHORS: Final = "UnknownAnchors"
OVERRIDES_SKIPPED: Final = "OverridesSkipped"
EXPOSURES_COUNTED: Final = "ExposuresCounted"
CLICKS_COUNTED: Final = "ClicksCounted"
EPOCHS_OPENED: Final = "EpochsOpened"


class Shape(StrEnum):
    """The rule by which an alarm watches a metric (cdk/constructs/alarms.py)."""

    SHARE = "share"  # of the values, each 0 or more
    EVENT = "event"  # once is enough
    SILENCE = "silence"  # a scheduled function emits it at the end of every run that went well


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `limit` is the field of cdk.deployment.AlarmNumbers; without an alarm `unwatched` is the reason."""

    meaning: str
    emitted_by: tuple[str, ...]
    shape: Shape | None = None
    limit: str = ""
    unwatched: str = ""

    def __post_init__(self) -> None:
        """Refuse a metric with neither an alarm nor a reason, or with both."""
        if (self.shape is None) != bool(self.unwatched):
            raise ValueError(f"metric {self.meaning!r}: give it the shape of its alarm, or the reason for none")
        if (self.shape in (Shape.SHARE, Shape.EVENT)) != bool(self.limit):
            raise ValueError(f"metric {self.meaning!r}: name the limit of its alarm, a field of AlarmNumbers")


FUNCTIONS_WITH_MODELS: Final = ("recommend",)
METRICS: Final[Mapping[str, Metric]] = {
    DEGRADED: Metric(
        "a value an answer: 1 where a fallback step made it, else 0",
        ("recommend", "assign_variant"),
        Shape.SHARE,
        "degraded_percent",
    ),
    BUNDLE_REFUSED: Metric(
        "count: bundles that failed their checks while the last good one served on",
        FUNCTIONS_WITH_MODELS,
        Shape.EVENT,
        "bundles_refused",
    ),
    UNKNOWN_ANCHORS: Metric(
        "a value an answer: 1 where the bundle does not know the page's item",
        FUNCTIONS_WITH_MODELS,
        Shape.SHARE,
        "unknown_anchors_percent",
    ),
    OVERRIDES_SKIPPED: Metric(
        "count: rows of catalog_overrides that no reader understands",
        FUNCTIONS_WITH_MODELS,
        Shape.EVENT,
        "overrides_skipped",
    ),
    EVENTS_REJECTED: Metric(
        "a value a call: how many of its events the contract refused",
        ("collect_events",),
        Shape.SHARE,
        "events_rejected_percent",
    ),
    EVENTS_UNCREDITED: Metric(
        "a value a call: how many of its events count for less than they claim",
        ("collect_events",),
        Shape.SHARE,
        "events_uncredited_percent",
    ),
    EXPOSURES_COUNTED: Metric(
        "count: impressions added to the experiments' counters",
        ("count_outcomes",),
        unwatched="zero where no experiment runs; a counter that fails or lags has errors, age and lost batches",
    ),
    CLICKS_COUNTED: Metric(
        "count: clicks added to the experiments' counters",
        ("count_outcomes",),
        unwatched="an hour without a click is no fault; an experiment's guardrails judge its clicks",
    ),
    EPOCHS_OPENED: Metric(
        "count: reallocations that put new weights in force",
        ("reallocate_traffic",),
        Shape.SILENCE,
    ),
}


def emitted_by(function: str) -> dict[str, Metric]:
    """The metrics that this function emits, by name."""
    return {name: metric for name, metric in METRICS.items() if function in metric.emitted_by}
