"""Lambda on the session stream: add exposures and clicks to the experiments' counters, and the shop's trade.

A failure is raised, so that Lambda delivers the batch again; what was counted before is not counted twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from recommender.adapters.dynamodb.client import connect
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.dynamodb.stream import batches
from recommender.adapters.margins import BundleMargins
from recommender.adapters.s3 import S3Artifacts
from recommender.adapters.snapshots import CachedSnapshots
from recommender.contracts.metrics import CLICKS_COUNTED, EXPOSURES_COUNTED, NAMESPACE
from recommender.contracts.settings import ServingSettings
from recommender.domain.experiments.running.shop_counts import held_out_share
from recommender.errors import RecommenderError
from recommender.ports import ExperimentStore, MarginSource, SnapshotSource
from recommender.use_cases.count_outcomes import count_outcomes

SERVICE = "count_outcomes"
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def create_handler(
    store: ExperimentStore, *, snapshots: SnapshotSource | None = None, margins: MarginSource | None = None
) -> Handler:
    """The handler over any store; without snapshots nobody is known to be held out, and no trade is booked."""
    logger, metrics = Logger(service=SERVICE), Metrics(namespace=NAMESPACE, service=SERVICE)

    def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        for batch in batches(event):
            share = held_out_share(snapshots.current() if snapshots else None)
            counted = count_outcomes(
                batch.entries, shard_id=batch.shard_id, store=store, holdout_share=share, margins=margins
            )
            metrics.add_metric(name=EXPOSURES_COUNTED, unit=MetricUnit.Count, value=counted.exposures)
            metrics.add_metric(name=CLICKS_COUNTED, unit=MetricUnit.Count, value=counted.clicks)
            metrics.flush_metrics()
            facts = {"records": len(batch.entries), "transactions": counted.transactions}
            outcome = {"exposures": counted.exposures, "clicks": counted.clicks, "orders": counted.orders}
            logger.info("counted", extra={**facts, **outcome})
        return {"state": {}}  # as a tumbling window requires; all state is in the ledger

    traced: Handler = Tracer(service=SERVICE).capture_lambda_handler(handle, capture_response=False)
    return traced


def compose(environment: Mapping[str, str]) -> Handler:
    """The handler over DynamoDB and the bundle's margins."""
    settings = ServingSettings.from_environment(environment)
    store = DynamoExperimentStore.of(connect(), settings)
    logger = Logger(service=SERVICE)

    def note(failure: RecommenderError) -> None:
        logger.warning("not loaded", extra={"code": failure.code, "detail": failure.detail})

    snapshots = CachedSnapshots(store.load_snapshot, ttl_seconds=float(settings.snapshot_ttl_seconds), on_failure=note)
    margins = BundleMargins(S3Artifacts.connect(settings.artifacts_bucket), on_failure=note)
    return create_handler(store, snapshots=snapshots, margins=margins)


handler = compose(os.environ)
