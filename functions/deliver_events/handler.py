"""The session table's stream to S3: every accepted event lands as a line of JSON, for the warehouse to load.

A failure is raised, so that the stream delivers the batch again; the same batch is the same object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger
from recommender.adapters.dynamodb.stream import batches
from recommender.adapters.s3 import S3Landing, s3_client
from recommender.contracts.settings import ServingSettings
from recommender.ports import EventSink
from recommender.use_cases.count_outcomes import deliver_events

Handler = Callable[[Mapping[str, Any], object], dict[str, Any]]


def create_handler(sink: EventSink) -> Handler:
    """The function over a landing."""
    logger = Logger(service="deliver_events")

    def handle(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
        delivered = sum(deliver_events(batch, sink=sink) for batch in batches(event))
        logger.info("delivered", extra={"events": delivered, "records": len(event["Records"])})
        return {"delivered": delivered}

    return handle


def compose(environment: Mapping[str, str]) -> Handler:
    """The function over S3."""
    return create_handler(S3Landing(s3_client(), ServingSettings.from_environment(environment).events_bucket))


handler = compose(os.environ)
