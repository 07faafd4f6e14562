"""What one deployment chooses: the environment, the browser keys, the origins and where the layers lie.

Read once, in app.py, from the CDK context (`cdk.json` or `-c name=value`); every stack receives it.

The numbers of each environment: retention, limits, alarm thresholds. Nothing else differs between them.

Decisions: docs/decisions/cdk.md (183).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final


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
    """Limits of the alarms. Counts are per five minutes unless the name has another unit.

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


TRAINING_STARTERS: Final = ("schedule", "airflow")
ROOT: Final = Path(__file__).parent.parent
RUNTIME_LAYER: Final = ROOT / ".build" / "runtime-layer"  # what `layers/runtime/build.py` makes
CONTEXT_NAMES: Final = (
    "environment",
    "publishable_key_digests",
    "allowed_origins",
    "placements",
    "training_starter",
    "runtime_layer",
)


class WrongContext(ValueError):
    """A context value that no deployment can be made from."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment. Paths are absolute."""

    environment: Environment
    publishable_key_digests: tuple[str, ...] = ()
    placements: str = "default"
    training_starter: str = "schedule"  # "airflow" leaves the schedules in place but switched off
    root: Path = ROOT
    runtime_layer: Path = RUNTIME_LAYER

    @property
    def prefix(self) -> str:
        """What stack and pipeline names start with."""
        return f"recommender-{self.environment.name}"


def read_deployment(context: Mapping[str, Any]) -> Deployment:
    """The deployment that the context describes; absent values take their defaults (environment `dev`)."""
    name = context.get("environment") or "dev"
    if name not in ENVIRONMENTS:
        raise WrongContext(f"context `environment` is {name!r}, expected one of {', '.join(ENVIRONMENTS)}")
    starter = context.get("training_starter") or "schedule"
    if starter not in TRAINING_STARTERS:
        raise WrongContext(f"context `training_starter` is {starter!r}, expected one of {', '.join(TRAINING_STARTERS)}")
    environment = ENVIRONMENTS[name]
    origins = _words(context.get("allowed_origins"))
    return Deployment(
        environment=replace(environment, allowed_origins=origins or environment.allowed_origins),
        publishable_key_digests=_digests(context.get("publishable_key_digests")),
        placements=context.get("placements") or "default",
        training_starter=starter,
        runtime_layer=Path(context.get("runtime_layer") or RUNTIME_LAYER).absolute(),
    )


def _digests(value: object) -> tuple[str, ...]:
    digests = _words(value)
    for digest in digests:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise WrongContext(
                f"context `publishable_key_digests` has {digest!r}, expected SHA-256 digests of 64 hex digits"
            )
    return digests


def _words(value: object) -> tuple[str, ...]:
    """A comma-separated text or a list, as non-empty words."""
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return tuple(str(part).strip() for part in parts if str(part).strip())
