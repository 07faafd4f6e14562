"""Every HTTP route and every function: one table for API Gateway, the local gateway and OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Auth(StrEnum):
    """Authentication of a route: a browser's publishable key, an administrator's IAM signature, or none."""

    PUBLISHABLE = "publishable"
    IAM = "iam"
    NONE = "none"


KEY_HEADER: Final = "x-publishable-key"


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path, the function that answers, and who may call."""

    method: str
    path: str  # {name} marks a path parameter; {name+} the rest of the path
    function: str
    auth: Auth
    summary: str


ACTIONS: Final = {  # of an experiment's life
    "start": "Put a draft in force",
    "pause": "Serve the control to everybody, for now",
    "resume": "Resume a paused experiment",
    "kill": "End an experiment, one challenger or one placement; the control serves",
    "decide": "Ship a variant by hand, everywhere or by placement; the control closes it without a winner",
    "promote": "Make what was decided the default, and end the experiment",
    "rollback": "Undo a decision or a promotion",
}
ROUTES: Final = (
    Route(
        "POST", "/v1/recommendations", "recommend", Auth.PUBLISHABLE, "Recommendations for 1 to 12 placements of a page"
    ),
    Route(
        "GET",
        "/v1/placements/{placement_id}/recommendations",
        "recommend",
        Auth.PUBLISHABLE,
        "Recommendations for one placement",
    ),
    Route("POST", "/v1/events", "collect_events", Auth.PUBLISHABLE, "Report up to 100 events; idempotent by event_id"),
    Route("POST", "/v1/assignments", "assign_variant", Auth.PUBLISHABLE, "The variants of a shopper in each placement"),
    Route("GET", "/v1/experiments/{experiment_id}", "assign_variant", Auth.IAM, "Report of an experiment"),
    Route("GET", "/v1/experiments", "manage_experiments", Auth.IAM, "Every experiment and what is in force"),
    Route("POST", "/v1/experiments", "manage_experiments", Auth.IAM, "Draft an experiment: checks and a forecast"),
    *(
        Route("POST", f"/v1/experiments/{{experiment_id}}/{action}", "manage_experiments", Auth.IAM, summary)
        for action, summary in ACTIONS.items()
    ),
    Route("GET", "/v1/experiments/{experiment_id}/audit", "manage_experiments", Auth.IAM, "Who did what, when and why"),
    Route(
        "GET",
        "/v1/health/{probe}",
        "recommend",
        Auth.NONE,
        "live: the process answers; ready: bundle and snapshot loaded",
    ),
    Route("GET", "/v1/openapi.json", "recommend", Auth.NONE, "This API as OpenAPI 3.1"),
)


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda: what starts it and what it may touch (logical table names, read or write)."""

    name: str
    trigger: str  # "http", "stream" or "schedule"
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    reads_artifacts: bool = False
    flips_bundle: bool = False  # may point to another published bundle
    writes_events: bool = False
    needs_models: bool = False
    reads_secret: bool = False  # signs or verifies attribution tokens
    memory_mb: int = 512
    timeout_seconds: int = 10


FUNCTIONS: Final = (
    Function(
        "recommend",
        "http",
        reads=("sessions", "shoppers", "experiments", "catalog_overrides"),
        reads_artifacts=True,
        needs_models=True,
        reads_secret=True,
        memory_mb=1769,
    ),
    Function("assign_variant", "http", reads=("experiments",)),
    Function(
        "manage_experiments",
        "http",
        reads=("experiments",),
        writes=("experiments",),
        reads_artifacts=True,
        flips_bundle=True,
        memory_mb=1769,  # a whole processor for the forecast
        timeout_seconds=25,
    ),
    Function("collect_events", "http", reads=("sessions",), writes=("sessions",), reads_secret=True),
    Function(
        "count_outcomes",
        "stream",
        reads=("experiments", "ledger"),
        writes=("experiments", "ledger"),
        reads_artifacts=True,  # margins
        timeout_seconds=60,
    ),
    Function("deliver_events", "stream", writes_events=True, timeout_seconds=60),
    Function(
        "reallocate_traffic",
        "schedule",
        reads=("experiments",),
        writes=("experiments", "ledger"),
        reads_artifacts=True,
        flips_bundle=True,  # a canary whose design says when it is promoted by itself
        memory_mb=1769,  # one whole processor: a month of hourly epochs is seconds of work
        timeout_seconds=120,
    ),
)
