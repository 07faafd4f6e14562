"""Lambda on a schedule: end the epoch of every running experiment and put the next weights in force.

A canary whose day has come is promoted after that. What keeps it from being promoted is logged and does not fail the
epoch, which has ended by then.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from recommender.adapters.dynamodb.client import connect
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.s3 import S3Artifacts
from recommender.contracts.fields import read_time
from recommender.contracts.metrics import EPOCHS_OPENED, NAMESPACE
from recommender.contracts.settings import ServingSettings
from recommender.errors import RecommenderError
from recommender.ports import ArtifactStore, ExperimentStore
from recommender.use_cases.promote_canaries import promote_canaries
from recommender.use_cases.reallocate_traffic import Lease, reallocate_traffic

SERVICE = "reallocate_traffic"
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def create_handler(
    store: ExperimentStore, artifacts: ArtifactStore | None = None, *, clock: Callable[[], float] = time.time
) -> Handler:
    """The handler over any stores; without `artifacts` no canary is promoted by itself.

    The event is EventBridge Scheduler's; its `time` names the epoch's start.

    Lambda keeps the request's id when it invokes again after a failure: the lease lets its own holder in.
    """
    logger, metrics = Logger(service=SERVICE), Metrics(namespace=NAMESPACE, service=SERVICE)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        holder = str(getattr(context, "aws_request_id", None) or uuid.uuid4())
        lease = Lease(holder, datetime.fromtimestamp(clock(), UTC))
        at = read_time(event.get("time"), "/time")
        done = reallocate_traffic(at=at, store=store, lease=lease)
        answer = {"epoch": done.snapshot.epoch if done.snapshot else 0, "opened": done.is_new}
        if artifacts is not None:
            promote(at, artifacts)
        metrics.add_metric(name=EPOCHS_OPENED, unit=MetricUnit.Count, value=int(done.is_new))
        metrics.flush_metrics()
        logger.info("reallocated", extra=answer)
        return answer

    def promote(at: datetime, artifacts: ArtifactStore) -> None:
        try:
            for name, outcome in promote_canaries(at=at, store=store, artifacts=artifacts).items():
                logger.info("canary is due", extra={"experiment": name, "outcome": outcome})
        except RecommenderError as failure:
            logger.warning("canaries not promoted", extra={"code": failure.code, "detail": failure.detail})

    traced: Handler = Tracer(service=SERVICE).capture_lambda_handler(handle, capture_response=False)
    return traced


def compose(environment: Mapping[str, str]) -> Handler:
    """The handler over DynamoDB and S3."""
    settings = ServingSettings.from_environment(environment)
    store = DynamoExperimentStore.of(connect(), settings)
    return create_handler(store, S3Artifacts.connect(settings.artifacts_bucket))


handler = compose(os.environ)
