"""Names of the metrics that functions emit and that alarms watch. Each carries the dimension `service`.

`service` is the function's name (powertools takes it from POWERTOOLS_SERVICE_NAME).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAMESPACE: Final = "Recommender"
DEGRADED: Final = "Degraded"  # a value an answer: 1 where a fallback step made it, else 0
EVENTS_REJECTED: Final = "EventsRejected"  # a value a call: how many of its events the contract refused
EVENTS_UNCREDITED: Final = "EventsUncredited"  # a value a call: how many of its events count for less than they say
BUNDLE_REFUSED: Final = "BundleRefused"  # count: bundles that failed their checks while the last good one served on
UNKNOWN_ANCHORS: Final = "UnknownAnchors"  # a value an answer: 1 where the bundle does not know the page's item
OVERRIDES_SKIPPED: Final = "OverridesSkipped"  # count: rows of catalog_overrides that no reader understands
EXPOSURES_COUNTED: Final = "ExposuresCounted"  # count: impressions added to the experiments' counters
CLICKS_COUNTED: Final = "ClicksCounted"  # count: clicks added to the experiments' counters
EPOCHS_OPENED: Final = "EpochsOpened"  # count: reallocations that put new weights in force

# function -> metrics that its code emits
EMITTED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "recommend": (DEGRADED, BUNDLE_REFUSED, UNKNOWN_ANCHORS, OVERRIDES_SKIPPED),
    "assign_variant": (DEGRADED,),
    "manage_experiments": (),
    "collect_events": (EVENTS_REJECTED, EVENTS_UNCREDITED),
    "count_outcomes": (EXPOSURES_COUNTED, CLICKS_COUNTED),
    "deliver_events": (),
    "reallocate_traffic": (EPOCHS_OPENED,),
}
