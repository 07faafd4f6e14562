"""POST /v1/events: take up to 100 events of any sessions, each once, and answer with the outcome of each.

Nothing of the models is imported here, so that the function starts fast and scales with clicks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from recommender.adapters.dynamodb.client import connect
from recommender.adapters.dynamodb.sessions import DynamoSessions
from recommender.adapters.http import Answer, Handler, Request, http_handler
from recommender.adapters.s3 import signing_secret
from recommender.contracts.answers import EventsAnswer
from recommender.contracts.api import parse_events, read_json
from recommender.contracts.metrics import EVENTS_REJECTED, EVENTS_UNCREDITED
from recommender.contracts.settings import ServingSettings
from recommender.use_cases.collect_events import collect_events


def create_handler(collect: Callable[..., EventsAnswer], *, key_digests: str) -> Handler:
    """The function over a `collect_events` that has its stores."""

    def post(request: Request) -> Answer:
        outcome = collect(parse_events(read_json(request.body), now=request.now), now=request.now)
        uncredited = len({caveat.index for caveat in outcome.warnings})
        facts = {
            "accepted": outcome.accepted,
            "duplicates": outcome.duplicates,
            "rejected": len(outcome.rejected),
            "uncredited": uncredited,
        }
        counts = {EVENTS_REJECTED: len(outcome.rejected), EVENTS_UNCREDITED: uncredited}
        return Answer(202, outcome.to_json(), log=facts, counts=counts)

    return http_handler("collect_events", {"POST /v1/events": post}, key_digests=key_digests)


def compose(environment: Mapping[str, str]) -> Handler:
    """The function over DynamoDB."""
    settings = ServingSettings.from_environment(environment)
    secret = signing_secret(settings.signing_secret_id, environment)
    collect = partial(collect_events, sessions=DynamoSessions(connect(), settings.sessions_table), secret=secret)
    return create_handler(collect, key_digests=settings.publishable_key_digests)


handler = compose(os.environ)
