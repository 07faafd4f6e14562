"""The serving function: recommendations for a page or for one placement, health, and the API's description.

It answers 200 whatever fails behind it: the use case degrades step by step, and what it does not foresee
is caught here, counted and logged, and answered with less: without what is stored, and then without the bundle.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from aws_lambda_powertools import Logger
from recommender.adapters.bundle_cache import BundleLoads, CachedBundles, CachedCanary
from recommender.adapters.dynamodb.client import connect
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.dynamodb.overrides import DynamoOverrides
from recommender.adapters.dynamodb.state import DynamoState
from recommender.adapters.http import Answer, Handler, Request, count_once, http_handler
from recommender.adapters.s3 import S3Artifacts, signing_secret
from recommender.adapters.snapshots import CachedSnapshots
from recommender.adapters.standby import CachedStandby
from recommender.contracts import metrics
from recommender.contracts.answers import PageAnswer
from recommender.contracts.api import parse_recommendations, parse_single, read_json
from recommender.contracts.openapi import document
from recommender.contracts.placements import Placement, registry
from recommender.contracts.requests import RecommendCommand
from recommender.contracts.settings import ServingSettings
from recommender.errors import ArtifactRefused, DependencyDown, InvalidInput, NotFound, RecommenderError
from recommender.ports import BundleSource, CanarySource, SnapshotSource, StandbySource
from recommender.use_cases.page_bundle import canary_in_force, check_health
from recommender.use_cases.placement_answers import known_placement
from recommender.use_cases.recommend import FAILURES, UNKNOWN_ANCHOR, recommend

SERVICE = "recommend"
Serve = Callable[..., PageAnswer]
WITHOUT_STORES: Final = {"state": None, "snapshots": None, "ranking": None, "overrides": None}
WITHOUT_BUNDLE: Final = {**WITHOUT_STORES, "bundles": None, "canaries": None}
LADDER: Final[tuple[Mapping[str, None], ...]] = ({}, WITHOUT_STORES)


def create_handler(
    serve: Serve,
    *,
    bundles: BundleSource,
    snapshots: SnapshotSource,
    placements: Mapping[str, Placement],
    key_digests: str,
) -> Handler:
    """The function over a `recommend` that has its stores."""
    logger = Logger(service=SERVICE)

    def post(request: Request) -> Answer:
        body = read_json(request.body)
        return answer(parse_recommendations(body, now=request.now, consent=_consent(request)), request.now)

    def get(request: Request) -> Answer:
        placement = known_placement(request.path["placement_id"], placements)
        query = dict(request.query)
        command = parse_single(placement.placement_id, placement.page, query, consent=_consent(request))
        return answer(command, request.now)

    def answer(command: RecommendCommand, now: datetime) -> Answer:
        page = _serve_whatever_happens(serve, command, now, logger)
        facts = {
            "recommendation_id": page.recommendation_id,
            "personalization_level": page.personalization_level,
            "degraded_reason": page.degraded_reason,
            "model_version": page.model_version,
            "placements": len(page.placements),
        }
        reasons = set((page.degraded_reason or "").split(","))
        counts = {  # a value an answer, so that a share can be seen
            metrics.DEGRADED: int(not FAILURES.isdisjoint(reasons)),
            metrics.UNKNOWN_ANCHORS: int(UNKNOWN_ANCHOR in reasons),
        }
        return Answer(200, page.to_json(), log=facts, counts=counts, timings=page.timing_ms)

    def health(request: Request) -> Answer:
        return Answer(200, check_health(request.path["probe"], bundles=bundles, snapshots=snapshots))

    endpoints = {
        "POST /v1/recommendations": post,
        "GET /v1/placements/{placement_id}/recommendations": get,
        "GET /v1/health/{probe}": health,
        "GET /v1/openapi.json": lambda _: Answer(200, document()),
    }
    return http_handler(SERVICE, endpoints, key_digests=key_digests)


def _serve_whatever_happens(serve: Serve, command: RecommendCommand, now: datetime, logger: Logger) -> PageAnswer:
    """Serve with everything; where that fails in a way nobody foresaw, with less and less of it."""
    for left_out in LADDER:
        try:
            return serve(command, now=now, **left_out)
        except (InvalidInput, NotFound):
            raise
        except Exception:
            logger.exception("answering again with less", extra={"left_out": list(left_out)})
    return serve(command, now=now, **WITHOUT_BUNDLE)


def _consent(request: Request) -> str:
    """Return the default consent: none where the browser sends Do Not Track or Global Privacy Control."""
    refuses = request.headers.get("sec-gpc") == "1" or request.headers.get("dnt") == "1"
    return "contextual" if refuses else "full"


def compose(environment: Mapping[str, str]) -> Handler:
    """The function over DynamoDB and S3, its bundle and snapshot loaded before the first request."""
    settings = ServingSettings.from_environment(environment)
    logger, database = Logger(service=SERVICE), connect()

    def note(failure: RecommenderError) -> None:
        logger.warning("not loaded", extra={"code": failure.code, "detail": failure.detail})

    def refuse(failure: RecommenderError) -> None:
        note(failure)
        if isinstance(failure, ArtifactRefused):
            count_once(metrics.BUNDLE_REFUSED, service=SERVICE)

    def skip(rows: int) -> None:
        logger.warning("rows of the catalogue overrides were skipped", extra={"rows": rows})
        count_once(metrics.OVERRIDES_SKIPPED, service=SERVICE, amount=rows)

    experiments = DynamoExperimentStore.of(database, settings)
    snapshots = CachedSnapshots(
        experiments.load_snapshot, ttl_seconds=float(settings.snapshot_ttl_seconds), on_failure=note
    )
    artifacts, ttl_seconds = S3Artifacts.connect(settings.artifacts_bucket), float(settings.bundle_ttl_seconds)

    def loads(cache_dir: str) -> BundleLoads:
        return BundleLoads(artifacts, Path(cache_dir), clock=time.monotonic, on_refusal=refuse, report=logger.warning)

    bundles = CachedBundles(loads(settings.bundle_cache_dir), ttl_seconds=ttl_seconds)
    canaries = CachedCanary(loads(f"{settings.bundle_cache_dir}-canary"), retry_seconds=ttl_seconds)
    standby = CachedStandby(artifacts, ttl_seconds=ttl_seconds, on_failure=note)
    placements = registry(settings.placements)
    serve = partial(
        recommend,
        state=DynamoState(database, sessions_table=settings.sessions_table, shoppers_table=settings.shoppers_table),
        bundles=bundles,
        canaries=canaries,
        snapshots=snapshots,
        standby=standby,
        overrides=DynamoOverrides(database, settings.catalog_overrides_table, on_skipped=skip),
        secret=signing_secret(settings.signing_secret_id, environment),
        new_id=lambda: f"r_{uuid.uuid4().hex}",
        placements=placements,
    )
    _warm_up(bundles, canaries, snapshots, standby)
    return create_handler(
        serve,
        bundles=bundles,
        snapshots=snapshots,
        placements=placements,
        key_digests=settings.publishable_key_digests,
    )


def _warm_up(bundles: BundleSource, canaries: CanarySource, snapshots: SnapshotSource, standby: StandbySource) -> None:
    """Wait for the bundle, or else the standby lists, and the snapshot; a canary's bundle begins to load."""
    try:
        bundles.current()
    except DependencyDown:
        with suppress(DependencyDown):
            standby.current()
    snapshot = snapshots.current()
    config = None if snapshot is None else canary_in_force(snapshot)
    if config is not None:
        with suppress(DependencyDown):
            canaries.current(config.bundle_id)


handler = compose(os.environ)
