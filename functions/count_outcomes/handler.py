"""Lambda on the session stream: add the exposures and clicks of a batch to the experiments' counters.

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
from recommender.contracts.metrics import CLICKS_COUNTED, EXPOSURES_COUNTED, NAMESPACE
from recommender.contracts.settings import ServingSettings
from recommender.ports import ExperimentStore
from recommender.use_cases.count_outcomes import count_outcomes

SERVICE = "count_outcomes"
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def create_handler(store: ExperimentStore) -> Handler:
    """The handler over any store."""
    logger, metrics = Logger(service=SERVICE), Metrics(namespace=NAMESPACE, service=SERVICE)

    def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        for batch in batches(event):
            counted = count_outcomes(batch.entries, shard_id=batch.shard_id, store=store)
            metrics.add_metric(name=EXPOSURES_COUNTED, unit=MetricUnit.Count, value=counted.exposures)
            metrics.add_metric(name=CLICKS_COUNTED, unit=MetricUnit.Count, value=counted.clicks)
            metrics.flush_metrics()
            facts = {"records": len(batch.entries), "transactions": counted.transactions}
            logger.info("counted", extra={**facts, "exposures": counted.exposures, "clicks": counted.clicks})
        return {"state": {}}  # what a tumbling window asks for; all state is in the ledger

    traced: Handler = Tracer(service=SERVICE).capture_lambda_handler(handle, capture_response=False)
    return traced


def compose(environment: Mapping[str, str]) -> Handler:
    """The handler over DynamoDB."""
    settings = ServingSettings.from_environment(environment)
    store = DynamoExperimentStore(
        connect(), experiments_table=settings.experiments_table, ledger_table=settings.ledger_table
    )
    return create_handler(store)


handler = compose(os.environ)
