"""Lambda behind POST /v1/assignments and GET /v1/experiments/{experiment_id}: who sees what, and how it does.

Assignments come from the snapshot in memory. The report reads the counters. No model is loaded here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from recommender.adapters.dynamodb.client import connect
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.http import Answer, Handler, Request, http_handler
from recommender.adapters.snapshots import CachedSnapshots
from recommender.contracts.api import did_you_mean, parse_assignments, read_json
from recommender.contracts.metrics import DEGRADED
from recommender.contracts.placements import registry
from recommender.contracts.settings import ServingSettings
from recommender.domain.experiments.running.assignment import Assignment
from recommender.errors import NotFound
from recommender.ports import ExperimentStore, SnapshotSource
from recommender.use_cases.assign_variants import assign_variants
from recommender.use_cases.report_experiment import report_experiment

SERVICE = "assign_variant"


def create_handler(
    store: ExperimentStore, snapshots: SnapshotSource, *, placements: tuple[str, ...], key_digests: str
) -> Handler:
    """The handler over any store; `placements` are those of the registry."""

    def post_assignments(request: Request) -> Answer:
        requested = parse_assignments(read_json(request.body))
        for placement in requested.placements:
            if placement not in placements:
                raise NotFound(did_you_mean(placement, placements), code="unknown_placement")
        assigned = assign_variants(requested.visitor_id, requested.placements or placements, snapshots=snapshots)
        body = {
            "visitor_id": requested.visitor_id,
            "degraded": assigned.degraded,
            "assignments": [to_json(name, assignment) for name, assignment in assigned.by_placement.items()],
        }
        counts = {DEGRADED: int(assigned.degraded)}
        return Answer(200, body, log={"degraded": assigned.degraded}, counts=counts)

    def get_experiment(request: Request) -> Answer:
        experiment_id = request.path["experiment_id"]
        return Answer(200, report_experiment(experiment_id, store=store, now=request.now))

    routes = {"POST /v1/assignments": post_assignments, "GET /v1/experiments/{experiment_id}": get_experiment}
    return http_handler(SERVICE, routes, key_digests=key_digests)


def to_json(placement: str, assignment: Assignment) -> dict[str, Any]:
    """One assignment as the API answers it; `experiment_id` is null where no experiment runs."""
    return {
        "placement": placement,
        "experiment_id": assignment.experiment_id or None,
        "config_version": assignment.config_version,
        "epoch": assignment.epoch,
        "variant": assignment.variant,
        "propensity": assignment.propensity,
        "is_holdout": assignment.is_holdout,
    }


def compose(environment: Mapping[str, str]) -> Handler:
    """The handler over DynamoDB."""
    settings = ServingSettings.from_environment(environment)
    store = DynamoExperimentStore.of(connect(), settings)
    logger = Logger(service=SERVICE)
    snapshots = CachedSnapshots(
        store.load_snapshot,
        ttl_seconds=float(settings.snapshot_ttl_seconds),
        on_failure=lambda failure: logger.warning("no snapshot", extra={"code": failure.code}),
    )
    return create_handler(
        store, snapshots, placements=tuple(registry(settings.placements)), key_digests=settings.publishable_key_digests
    )


handler = compose(os.environ)
