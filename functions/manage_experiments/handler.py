"""Lambda behind the administrative routes of experiments: draft, start, pause, resume, kill, decide, promote, undo.

Who acts is the IAM identity that signed the request; it stands in the audit trail with the reason that was given.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import partial

from recommender.adapters.dynamodb.client import connect
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.http import Answer, Endpoint, Handler, Request, http_handler
from recommender.adapters.s3 import S3Artifacts
from recommender.contracts.api import read_json
from recommender.contracts.experiments import ExperimentRequest, parse_action, parse_experiment
from recommender.contracts.placements import registry
from recommender.contracts.routes import ACTIONS
from recommender.contracts.settings import ServingSettings
from recommender.domain.experiments.running.config import proposed
from recommender.domain.experiments.running.lifecycle import overview
from recommender.errors import NotFound
from recommender.ports import ArtifactStore, ExperimentStore
from recommender.use_cases.forecast_experiment import forecast_experiment
from recommender.use_cases.manage_experiments import Order, change_experiment, draft_experiment
from recommender.use_cases.release_bundle import candidate, require_bundle

SERVICE = "manage_experiments"


def create_handler(
    store: ExperimentStore,
    artifacts: ArtifactStore,
    *,
    placements: Mapping[str, Collection[str]],
    key_digests: str,
) -> Handler:
    """The handler over any store; `placements`: those of the registry with the policies of each."""
    act = partial(_act, store=store, artifacts=artifacts)
    routes: dict[str, Endpoint] = {
        "GET /v1/experiments": partial(_list, store=store),
        "POST /v1/experiments": partial(_draft, store=store, artifacts=artifacts, placements=placements),
        "GET /v1/experiments/{experiment_id}/audit": partial(_audit, store=store),
        **{f"POST /v1/experiments/{{experiment_id}}/{action}": partial(act, action=action) for action in ACTIONS},
    }
    return http_handler(SERVICE, routes, key_digests=key_digests)


def _list(_request: Request, *, store: ExperimentStore) -> Answer:
    snapshot = store.load_snapshot()
    body = {
        "epoch": snapshot.epoch if snapshot else 0,
        "defaults": dict(snapshot.defaults) if snapshot else {},
        "experiments": [overview(config, snapshot) for config in store.experiments()],
    }
    return Answer(200, body)


def _draft(
    request: Request,
    *,
    store: ExperimentStore,
    artifacts: ArtifactStore,
    placements: Mapping[str, Collection[str]],
) -> Answer:
    requested = parse_experiment(read_json(request.body))
    wanted = proposed(requested, bundle_id=_bundle_id(requested, artifacts))
    if wanted.bundle_id:
        require_bundle(wanted.bundle_id, artifacts=artifacts)
    done = draft_experiment(
        wanted,
        placements=placements,
        store=store,
        now=request.now,
        actor=request.caller,
        reason=requested.reason or "",
        dry_run=requested.dry_run,
    )
    body = {
        "experiment": overview(done.config, done.snapshot),
        "changed": done.is_new,
        **forecast_experiment(wanted, requested, snapshot=done.snapshot, store=store, now=request.now),
    }
    return Answer(201 if done.is_new else 200, body)


def _act(request: Request, *, action: str, store: ExperimentStore, artifacts: ArtifactStore) -> Answer:
    requested = parse_action(action, read_json(request.body) if request.body else None)
    order = Order(
        action,
        request.path["experiment_id"],
        actor=request.caller,
        reason=requested.reason or "",
        variant=requested.variant or "",
        placement=requested.placement or "",
        choices=requested.placements,
    )
    done = change_experiment(order, store=store, now=request.now, artifacts=artifacts)
    epoch = done.snapshot.epoch if done.snapshot else 0
    body = {"experiment": overview(done.config, done.snapshot), "epoch": epoch, "changed": done.is_new}
    return Answer(200, body, log={"action": action, "changed": done.is_new})


def _audit(request: Request, *, store: ExperimentStore) -> Answer:
    experiment_id = request.path["experiment_id"]
    if store.load_config(experiment_id) is None:
        raise NotFound(f"experiment {experiment_id!r} does not exist", code="unknown_experiment")
    return Answer(200, {"experiment_id": experiment_id, "entries": store.audit_trail(experiment_id)})


def compose(environment: Mapping[str, str]) -> Handler:
    """The handler over DynamoDB and S3."""
    settings = ServingSettings.from_environment(environment)
    store = DynamoExperimentStore.of(connect(), settings)
    placements = {name: placement.policies for name, placement in registry(settings.placements).items()}
    return create_handler(
        store,
        S3Artifacts.connect(settings.artifacts_bucket),
        placements=placements,
        key_digests=settings.publishable_key_digests,
    )


def _bundle_id(requested: ExperimentRequest, artifacts: ArtifactStore) -> str:
    """The newest bundle that was published as a canary, where a canary does not name one."""
    return candidate(artifacts) if requested.mode == "canary" and not requested.bundle_id else ""


handler = compose(os.environ)
