"""Names of the metrics that functions emit and that alarms watch. Each carries the dimension `service`.

`service` is the function's name (powertools takes it from POWERTOOLS_SERVICE_NAME).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAMESPACE: Final = "Recommender"
DEGRADED: Final = "Degraded"  # a value an answer: 1 where a fallback step made it, else 0
EVENTS_REJECTED: Final = "EventsRejected"  # a value a call: how many of its events the contract refused
BUNDLE_REFUSED: Final = "BundleRefused"  # count: bundles that failed their checks while the last good one served on
EXPOSURES_COUNTED: Final = "ExposuresCounted"  # count: impressions added to the experiments' counters
CLICKS_COUNTED: Final = "ClicksCounted"  # count: clicks added to the experiments' counters
EPOCHS_OPENED: Final = "EpochsOpened"  # count: reallocations that put new weights in force

# function -> metrics that its code emits
EMITTED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "recommend": (DEGRADED, BUNDLE_REFUSED),
    "assign_variant": (DEGRADED,),
    "manage_experiments": (),
    "collect_events": (EVENTS_REJECTED,),
    "count_outcomes": (EXPOSURES_COUNTED, CLICKS_COUNTED),
    "deliver_events": (),
    "reallocate_traffic": (EPOCHS_OPENED,),
}
