"""Every HTTP route and every function: one table for API Gateway, the local gateway and OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Auth(StrEnum):
    """Who may call: a browser with a publishable key, an administrator with IAM, or anyone."""

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
    Function("collect_events", "http", reads=("sessions",), writes=("sessions",), reads_secret=True),
    Function("count_outcomes", "stream", reads=("ledger",), writes=("experiments", "ledger"), timeout_seconds=60),
    Function("deliver_events", "stream", writes_events=True, timeout_seconds=60),
    Function("reallocate_traffic", "schedule", reads=("experiments",), writes=("experiments",), timeout_seconds=120),
)
