"""The HTTP edge of a function: routing, keys, problem documents, headers, one log line and metrics.

Routes and who may call them come from contracts/routes.py; a function only brings one endpoint for each.
Errors of recommender.errors become RFC 9457 problem documents here and nowhere else. The log names the
route, the outcome and a correlation id, never a visitor, a user, a session or a body.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from recommender.adapters.http_event import caller_of, json_text, text_body, whole_event
from recommender.contracts.fields import ID_MAX_LENGTH
from recommender.contracts.metrics import NAMESPACE
from recommender.contracts.routes import KEY_HEADER, ROUTES, Auth, Route
from recommender.errors import DependencyDown, InvalidInput, NotFound, RecommenderError, Unauthorized

PROBLEM_TYPE: Final = "urn:recommender:problem:"
RETRY_AFTER_SECONDS: Final = 5
MAX_ECHO: Final = 256  # characters of a path that an error repeats

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an endpoint. `path` holds the path parameters; `headers` finds names in any case."""

    body: str | None
    query: Mapping[str, str]
    path: Mapping[str, str]
    headers: Mapping[str, str]
    now: datetime
    caller: str = ""  # ARN of the IAM identity that signed the request; "" for a browser


@dataclass(frozen=True, slots=True)
class Answer:
    """An endpoint's answer; `log` and `counts` must not hold personal data."""

    status: int
    body: Mapping[str, Any]
    log: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)  # metric -> how much to add
    timings: Mapping[str, float] = field(default_factory=dict)  # stage -> milliseconds


Endpoint = Callable[[Request], Answer]


def http_handler(function: str, endpoints: Mapping[str, Endpoint], *, key_digests: str) -> Handler:
    """The Lambda handler of `function`; `endpoints` by "METHOD /path", one for each of its routes."""
    routes = {f"{route.method} {route.path}": route for route in ROUTES if route.function == function}
    if routes.keys() != endpoints.keys():
        raise ValueError(f"{function} answers {sorted(endpoints)}, expected {sorted(routes)}")
    edge = _Edge(function, tuple(key.strip() for key in key_digests.split(",") if key.strip()))
    for name, route in routes.items():
        edge.add(route, endpoints[name])
    return edge.handler()


def problem_document(error: RecommenderError, *, instance: str, request_id: str) -> dict[str, Any]:
    """The RFC 9457 body of an error; wrong fields are listed one by one."""
    body: dict[str, Any] = {
        "type": PROBLEM_TYPE + error.code,
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "instance": instance,
        "request_id": request_id,
    }
    if isinstance(error, InvalidInput):
        body["errors"] = [
            {"pointer": wrong.pointer, "code": wrong.code, "value": wrong.value, "expected": wrong.expected}
            for wrong in error.problems
        ]
    return body


def key_digest(key: str) -> str:
    """Digest a publishable key as the settings hold it: SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def count_once(metric: str, *, service: str, amount: int = 1) -> None:
    """Emit occurrences of something that happened outside of a request."""
    with single_metric(name=metric, unit=MetricUnit.Count, value=amount, namespace=NAMESPACE) as entry:
        entry.add_dimension(name="service", value=service)


class _Edge:
    """One resolver with its logger, metrics and tracer."""

    def __init__(self, function: str, digests: tuple[str, ...]) -> None:
        self._digests = digests
        self._resolver = APIGatewayHttpResolver()
        self._logger = Logger(service=function)
        self._metrics = Metrics(namespace=NAMESPACE, service=function)
        self._tracer = Tracer(service=function, patch_modules=("botocore",))
        self._resolver.exception_handler(RecommenderError)(self._known_error)
        self._resolver.exception_handler(Exception)(self._unknown_error)
        self._resolver.not_found(self._no_such_route)

    def add(self, route: Route, endpoint: Endpoint) -> None:
        """Answer this route."""

        def respond(**parameters: str) -> Response[str]:
            if route.auth is Auth.PUBLISHABLE:
                self._check_key()
            for name, value in parameters.items():
                if len(value) > ID_MAX_LENGTH:  # no store has such a key
                    raise NotFound(f"{name} has {len(value)} characters, at most {ID_MAX_LENGTH} are known")
            started = time.perf_counter()
            answer = endpoint(self._request(parameters))
            duration = (time.perf_counter() - started) * 1000
            self._record(route, answer, duration)
            return self._respond(answer.status, answer.body, timings={**answer.timings, "total": duration})

        rule = route.path.replace("{", "<").replace("}", ">")
        self._resolver.route(rule, method=route.method)(respond)

    def handler(self) -> Handler:
        """The function that Lambda calls."""

        def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
            request = whole_event(event)
            self._logger.set_correlation_id(_request_id(request))
            return self._resolver.resolve(request, context)

        traced: Handler = self._tracer.capture_lambda_handler(handle, capture_response=False)
        return traced

    def _request(self, parameters: Mapping[str, str]) -> Request:
        event = self._resolver.current_event
        return Request(
            body=text_body(event.raw_event),
            query=event.query_string_parameters or {},
            path=parameters,
            headers=event.headers,
            now=datetime.now(UTC),
            caller=caller_of(event.raw_event),
        )

    def _check_key(self) -> None:
        key = self._resolver.current_event.headers.get(KEY_HEADER)
        if not key:
            raise Unauthorized(f"the header {KEY_HEADER} is missing")
        digest = key_digest(key)
        # Every digest is compared, so that the time does not reveal which one came near.
        if not sum(hmac.compare_digest(digest, known) for known in self._digests):
            raise Unauthorized(f"the key in {KEY_HEADER} is not known")

    def _record(self, route: Route, answer: Answer, duration: float) -> None:
        for metric, amount in answer.counts.items():
            self._metrics.add_metric(name=metric, unit=MetricUnit.Count, value=amount)
        if answer.counts:
            self._metrics.flush_metrics()
        facts = {"route": f"{route.method} {route.path}", "status": answer.status, "duration_ms": round(duration, 2)}
        self._logger.info("answered", extra={**facts, **answer.log})

    def _respond(
        self,
        status: int,
        body: Mapping[str, Any],
        *,
        content_type: str = "application/json",
        timings: Mapping[str, float] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response[str]:
        every = {
            "cache-control": "private, no-store",
            "x-request-id": _request_id(self._resolver.current_event.raw_event),
            **(headers or {}),
        }
        if timings:
            every["server-timing"] = ", ".join(f"{stage};dur={spent:.2f}" for stage, spent in timings.items())
        return Response(status_code=status, content_type=content_type, body=json_text(body), headers=every)

    def _known_error(self, error: RecommenderError) -> Response[str]:
        self._logger.info("refused", extra={"code": error.code, "status": error.status})
        headers = {}
        if isinstance(error, Unauthorized):
            headers["www-authenticate"] = "PublishableKey"
        if isinstance(error, DependencyDown):
            headers["retry-after"] = str(RETRY_AFTER_SECONDS)
        return self._problem(error, headers)

    def _unknown_error(self, error: Exception) -> Response[str]:
        self._logger.exception("failed", exc_info=error)
        return self._problem(RecommenderError("internal error; quote the request id"), {})

    def _no_such_route(self, _error: Exception) -> Response[str]:
        http = self._resolver.current_event.raw_event["requestContext"]["http"]
        requested = f"{http['method']} {http['path']}"[:MAX_ECHO]
        return self._problem(NotFound(f"{requested} is not a route", code="unknown_route"), {})

    def _problem(self, error: RecommenderError, headers: Mapping[str, str]) -> Response[str]:
        event = self._resolver.current_event.raw_event
        body = problem_document(error, instance=event["rawPath"][:MAX_ECHO], request_id=_request_id(event))
        return self._respond(error.status, body, content_type="application/problem+json", headers=headers)


def _request_id(event: Mapping[str, Any]) -> str:
    return str(event["requestContext"]["requestId"])
