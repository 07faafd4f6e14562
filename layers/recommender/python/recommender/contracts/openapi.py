"""The API as an OpenAPI 3.1 document, made from the routes and the request and answer types.

Nothing is written twice: a dataclass becomes a schema, its field metadata holds JSON Schema keywords, and
events bring the schema of contracts/events.py.

Decisions: docs/decisions/serving.md (058).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from recommender.contracts.answers import EventsAnswer, PageAnswer
from recommender.contracts.event_kinds import EVENT_NAMES
from recommender.contracts.events import EVENT_COLUMNS, Event
from recommender.contracts.experiments import ActionRequest, ExperimentRequest
from recommender.contracts.fields import ID_MAX_LENGTH
from recommender.contracts.requests import (
    CONSENTS,
    MAX_LIMIT,
    AssignmentRequest,
    EventsRequest,
    RecommendationRequest,
)
from recommender.contracts.routes import ACTIONS, KEY_HEADER, ROUTES, Auth, Route

VERSION: Final = "1.0.0"
SCALARS: Final[Mapping[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
}


@dataclass(frozen=True, slots=True)
class Problem:
    """RFC 9457. `code` is stable; `errors` names each wrong field with its value and what was expected."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    request_id: str
    errors: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """The request and answer types of a route; None is any JSON object."""

    status: int
    request: Any = None
    answer: Any = None
    query: tuple[tuple[str, dict[str, Any]], ...] = ()


ID: Final = {"type": "string", "maxLength": ID_MAX_LENGTH}
QUERY: Final = (
    ("visitor_id", {**ID, "required": True}),
    ("session_id", {**ID, "description": "the visitor's id where absent"}),
    ("user_id", ID),
    ("item_id", ID),
    ("category", {"type": "string", "maxLength": 256}),
    ("search_term", {"type": "string", "maxLength": 256}),
    ("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    ("consent", {"type": "string", "enum": list(CONSENTS)}),
)
OPERATIONS: Final[Mapping[str, Operation]] = {
    "POST /v1/recommendations": Operation(200, RecommendationRequest, PageAnswer),
    "GET /v1/placements/{placement_id}/recommendations": Operation(200, None, PageAnswer, QUERY),
    "POST /v1/events": Operation(202, EventsRequest, EventsAnswer),
    "POST /v1/assignments": Operation(200, AssignmentRequest),
    "POST /v1/experiments": Operation(201, ExperimentRequest),
    **{f"POST /v1/experiments/{{experiment_id}}/{action}": Operation(200, ActionRequest) for action in ACTIONS},
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {"Event": event_schema()}
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    _schema(Problem, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Session-aware recommendations", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                Auth.PUBLISHABLE.value: {"type": "apiKey", "in": "header", "name": KEY_HEADER},
                Auth.IAM.value: {"type": "apiKey", "in": "header", "name": "Authorization", "description": "SigV4"},
            },
        },
    }


def event_schema() -> dict[str, Any]:
    """Describe one event as JSON Schema."""
    item = {
        "type": "object",
        "required": ["item_id"],
        "properties": {
            "item_id": {"type": "string", "maxLength": 128},
            "quantity": {"type": "integer", "minimum": 1},
            "price": {"type": "number", "minimum": 0},
            "index": {"type": "integer", "minimum": 0},
        },
    }
    properties: dict[str, Any] = {
        column.name: {"type": column.json_type, "description": column.meaning}
        for column in EVENT_COLUMNS
        if column.name != "derived"
    }
    properties["event_name"]["enum"] = list(EVENT_NAMES)
    properties["event_time"]["format"] = "date-time"
    properties["items"]["items"] = item
    return {"type": "object", "required": ["event_id", "event_name", "event_time"], "properties": properties}


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    spec = OPERATIONS.get(f"{route.method} {route.path}", Operation(200))
    answer = {"type": "object"} if spec.answer is None else _schema(spec.answer, schemas)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    body: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "responses": {
            str(spec.status): {"description": "The answer", "content": {"application/json": {"schema": answer}}},
            "4XX": {"description": "What is wrong with the request", "content": problem},
        },
    }
    if route.auth is not Auth.NONE:
        body["security"] = [{route.auth.value: []}]
    parameters = _parameters(route, spec)
    if parameters:
        body["parameters"] = parameters
    if spec.request is not None:
        content = {"application/json": {"schema": _schema(spec.request, schemas)}}
        body["requestBody"] = {"required": True, "content": content}
    return body


def _operation_id(route: Route) -> str:
    words = [part.strip("{}+") for part in route.path.split("/") if part not in ("", "v1")]
    return "_".join((route.method.lower(), *words)).replace(".", "_")


def _parameters(route: Route, spec: Operation) -> list[dict[str, Any]]:
    in_path = [part.strip("{}+") for part in route.path.split("/") if part.startswith("{")]
    found: list[dict[str, Any]] = [{"name": name, "in": "path", "required": True, "schema": ID} for name in in_path]
    for name, described in spec.query:
        schema = dict(described)
        found.append({"name": name, "in": "query", "required": schema.pop("required", False), "schema": schema})
    return found


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a type; dataclasses become components and are referred to."""
    if kind in SCALARS:
        return dict(SCALARS[kind])
    if kind is Event:
        return {"$ref": "#/components/schemas/Event"}
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in schemas:
            schemas[kind.__name__] = {}  # a placeholder, so that a type may contain itself
            schemas[kind.__name__] = _object(kind, schemas)
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _nullable(_schema(next(part for part in arguments if part is not type(None)), schemas))
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], schemas)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1], schemas)}
    raise TypeError(f"{kind} has no JSON schema")


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else {"anyOf": [schema, {"type": "null"}]}


def _object(kind: type, schemas: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    entries = fields(kind)
    return {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "required": [entry.name for entry in entries if entry.default is MISSING and entry.default_factory is MISSING],
        "properties": {entry.name: {**_schema(hints[entry.name], schemas), **entry.metadata} for entry in entries},
    }
