"""Every function that browsers and administrators reach, as Lambda calls it, over stores in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from recommender.adapters.http import Handler, key_digest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.adapters.memory.sources import MemorySessions, MemorySnapshots
from recommender.contracts.placements import DEFAULT, registry
from recommender.contracts.routes import ROUTES, Route
from recommender.domain.experiments.running.config import default_config
from recommender.use_cases.collect_events import collect_events
from recommender.use_cases.recommend import recommend
from recommender.use_cases.report_experiment import start_experiment

from tests.fakes.sources import MemoryArtifacts
from tests.handlers.deployed import KEY, deployed, http_event
from tests.use_cases.serving import Serving

CALLER = "arn:aws:iam::123456789012:user/ada"
HTTP_ROUTES = tuple(route for route in ROUTES if route.method in ("GET", "POST"))
VIEWED = {"event_id": "e1", "event_name": "view_item", "event_time": "2026-11-23T02:50:00Z", "visible": False}
BODIES: Mapping[str, Any] = {
    "POST /v1/recommendations": {
        "visitor_id": "v1",
        "session_id": "s1",
        "user_id": "h1",
        "page_view_id": "p1",
        "page": {"type": "search", "item_id": "item-00-01", "category": "Left", "search_term": "item"},
        "context": {"cart_item_ids": ["item-01-01"], "device": "mobile", "consent": "full"},
        "events": [{**VIEWED, "items": [{"item_id": "item-00-02", "quantity": 1, "price": 1.5, "index": 0}]}],
        "placements": [{"placement": "search_fallback", "limit": 5}, {"placement": "home_hero"}],
        "options": {"explain": "reasons"},
    },
    "POST /v1/events": {
        "visitor_id": "v1",
        "session_id": "s1",
        "events": [
            {
                **VIEWED,
                "items": [{"item_id": "A", "quantity": 1, "price": 1.5, "index": 0}],
                "item_list_id": "home_hero",
            },
            {
                **VIEWED,
                "event_id": "e2",
                "event_name": "purchase",
                "transaction_id": "t1",
                "attribution_token": "v1.a.b",
            },
            {**VIEWED, "event_id": "e3", "event_name": "search", "search_term": "milk", "session_id": "s2"},
        ],
    },
    "POST /v1/assignments": {"visitor_id": "v1", "user_id": "u1", "placements": ["home_hero"]},
    "POST /v1/experiments": {
        "experiment_id": "exp_hero",
        "placements": ["home_hero", "pdp_similar"],
        "variants": ["cohorts", "hybrid"],
        "mode": "test",
        "salt": "s",
        "weights": {"home_hero": [0.5, 0.5], "pdp_similar": [0.5, 0.5]},
        "expected_daily_exposures": {"home_hero": 50_000, "pdp_similar": 50_000},
        "expected_click_rate": 0.02,
        "floor_share": 0.02,
        "design": {"looks": "week", "standardised": False, "maturation_days": 2},
        "reason": "because",
        "dry_run": True,
    },
}
ACTION_BODY: Mapping[str, Any] = {"reason": "because", "variant": "hybrid", "placements": {"home_hero": "hybrid"}}
QUERY = {"visitor_id": "v1", "session_id": "s1", "limit": "4", "search_term": "milk", "consent": "full"}


@dataclass
class Edges:
    """The handlers by function."""

    handlers: Mapping[str, Handler]

    def answer(self, route: Route, event: Any) -> dict[str, Any]:
        """What the function of this route answers."""
        return self.handlers[route.function](event, None)


def edges(patch: pytest.MonkeyPatch) -> Edges:
    """Fresh stores behind every function, an experiment in force."""
    digests, store, serving = key_digest(KEY), MemoryExperimentStore(), Serving()
    snapshot = start_experiment(default_config(datetime(2026, 11, 23, tzinfo=UTC)), store=store, now=datetime.now(UTC))
    collect = partial(collect_events, sessions=MemorySessions(), secret=b"a secret of the tests")
    policies = {placement.placement_id: placement.policies for placement in DEFAULT}
    return Edges(
        {
            "recommend": deployed("recommend", patch).create_handler(
                partial(recommend, **serving.ports()),
                bundles=serving.bundles,
                snapshots=serving.snapshots,
                placements=registry("default"),
                key_digests=digests,
            ),
            "collect_events": deployed("collect_events", patch).create_handler(collect, key_digests=digests),
            "assign_variant": deployed("assign_variant", patch).create_handler(
                store, MemorySnapshots(snapshot), placements=tuple(policies), key_digests=digests
            ),
            "manage_experiments": deployed("manage_experiments", patch).create_handler(
                store, MemoryArtifacts(), placements=policies, key_digests=digests
            ),
        }
    )


def valid_body(route: Route) -> Any:
    """A body that the route takes."""
    name = f"{route.method} {route.path}"
    body = BODIES.get(name, ACTION_BODY if "{experiment_id}/" in route.path else {})
    moment = datetime.now(UTC).isoformat()
    return json.loads(json.dumps(body).replace(VIEWED["event_time"], moment))  # type: ignore[arg-type]


def valid_event(route: Route, *, body: str | None = None) -> dict[str, Any]:
    """A payload of API Gateway that the route takes, with this body."""
    path = route.path
    for name, value in (("placement_id", "home_hero"), ("experiment_id", "exp_default"), ("probe", "live")):
        path = path.replace(f"{{{name}}}", value)
    event = http_event(route.method, path, body=body, caller=CALLER)
    return {**event, "queryStringParameters": dict(QUERY) if "placement_id" in route.path else {}}
