"""The numbers of each environment: retention, limits, alarm thresholds. Nothing else differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class StreamNumbers:
    """How the session stream reaches its two consumers."""

    batch_size: int = 500
    batching_window_seconds: int = 5
    tumbling_window_seconds: int = 60
    retry_attempts: int = 20  # then the batch's position goes to the dead-letter queue and the shard moves on
    record_age_hours: int = 12  # below the 24 h that a DynamoDB stream keeps


@dataclass(frozen=True, slots=True)
class AlarmNumbers:
    """When someone is called. Counts are per five minutes unless the name says otherwise.

    `function_errors` is of functions that browsers call; of those that seldom run, one error is enough.
    """

    function_errors: int = 5
    throttles: int = 10
    degraded_percent: int = 10  # of the answers
    unknown_anchors_percent: int = 20  # of the answers: product pages that are newer than the bundle
    events_rejected_percent: int = 50  # of the calls, each of which reports up to 100 events
    events_uncredited_percent: int = 50  # of the calls
    overrides_skipped: int = 0  # rows that no reader understands
    bundles_refused: int = 0  # the last good bundle serves meanwhile
    iterator_age_seconds: int = 600
    api_server_errors: int = 10
    training_stale_days: int = 2


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, all numbers in one place."""

    name: str
    keeps_data: bool  # stateful resources outlive their stack, and tables refuse deletion
    log_retention_days: int
    requests_per_second: int
    burst_requests: int
    allowed_origins: tuple[str, ...]
    # raw.events is the record; landed files, exports and erasure requests are on their way. An erased shopper is in
    # none of them, old versions included, after the sum of the two and a day each for the lifecycle's own clock.
    landed_kept_days: int = 14
    exports_kept_days: int = 14
    old_versions_days: int = 7
    checkpoints_kept_days: int = 30
    reallocation_minutes: int = 60
    training_daily: str = "cron(0 4 ? * MON-SAT *)"  # UTC, after the warehouse's night
    training_weekly: str = "cron(0 4 ? * SUN *)"
    reserved_concurrency: Mapping[str, int] = field(default_factory=dict)
    stream: StreamNumbers = field(default_factory=StreamNumbers)
    alarms: AlarmNumbers = field(default_factory=AlarmNumbers)


DEV: Final = Environment(
    name="dev",
    keeps_data=False,
    log_retention_days=14,
    requests_per_second=100,
    burst_requests=200,
    allowed_origins=("*",),
    alarms=AlarmNumbers(function_errors=20, degraded_percent=50),
)
PROD: Final = Environment(
    name="prod",
    keeps_data=True,
    log_retention_days=90,
    requests_per_second=3000,  # twice the planned peak of 1.5k
    burst_requests=5000,
    allowed_origins=(),  # the shop's own origins come from the context `allowed_origins`
    # Reserved concurrency is also a ceiling on cost; 40 is the planned need of `recommend` at peak.
    reserved_concurrency={"recommend": 300, "collect_events": 150, "assign_variant": 50, "reallocate_traffic": 1},
)
ENVIRONMENTS: Final[Mapping[str, Environment]] = {environment.name: environment for environment in (DEV, PROD)}
