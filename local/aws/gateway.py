"""The HTTP API in front of the functions: routes, authorisation, CORS and payload v2, as API Gateway does them.

The routes are those of contracts/routes.py. Where API Gateway answers `{"message": …}` for an
unknown route or a body that is too large, this answers a problem document like the rest of the API.

Decisions: docs/decisions/local.md (073).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from recommender.contracts.routes import KEY_HEADER, ROUTES, Auth, Route

from local.aws.payload import to_event, to_response
from local.aws.runtime_api import Outcome
from local.aws.signing import KeyPair, verify
from local.web import Request, Response, problem

Invoke = Callable[[str, Mapping[str, Any]], Outcome]

CORS: Final = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "x-request-id,server-timing"),
)
PREFLIGHT: Final = (
    ("access-control-allow-origin", "*"),
    ("access-control-allow-headers", f"content-type,{KEY_HEADER}"),
    ("access-control-allow-methods", "GET,POST,OPTIONS"),
    ("access-control-max-age", "3600"),
)


@dataclass(frozen=True, slots=True)
class Match:
    """A route and what its braces stand for."""

    route: Route
    parameters: Mapping[str, str]


class Router:
    """Finds the route of a request; a literal path wins over one with parameters."""

    def __init__(self, routes: Sequence[Route] = ROUTES) -> None:
        ordered = sorted(routes, key=lambda route: route.path.count("{"))
        self._patterns = [(re.compile(_pattern(route.path)), route) for route in ordered]

    def find(self, method: str, path: str) -> Match | None:
        """The route, or None."""
        for pattern, route in self._patterns:
            if route.method == method and (found := pattern.fullmatch(path)):
                return Match(route, found.groupdict())
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that some route allows on this path."""
        return sorted({route.method for pattern, route in self._patterns if pattern.fullmatch(path)})


class Gateway:
    """A site that answers API requests by invoking functions."""

    def __init__(self, invoke: Invoke, keys: KeyPair, *, router: Router | None = None) -> None:
        self._invoke, self._keys = invoke, keys
        self._router = router or Router()

    def __call__(self, request: Request) -> Response:
        """Answer a request, with CORS headers as configured on the API (a handler's own are replaced)."""
        if request.method == "OPTIONS":
            return Response(204, b"", PREFLIGHT)
        response = self._answer(request)
        own = tuple((name, value) for name, value in response.headers if not name.startswith("access-control-"))
        return Response(response.status, response.body, own + CORS)

    def _answer(self, request: Request) -> Response:
        match = self._router.find(request.method, request.path)
        if match is None:
            return self._unmatched(request)
        now = datetime.now(UTC)
        identity = None
        if match.route.auth is Auth.IAM:
            identity = verify(request, self._keys, now=now)
            if identity is None:
                return problem(403, "Forbidden", "Sign the request with SigV4 for execute-api.", "forbidden")
        event = to_event(
            request,
            route_key=f"{match.route.method} {match.route.path}",
            path_parameters=match.parameters,
            now=now,
            identity=identity,
        )
        return to_response(self._invoke(match.route.function, event))

    def _unmatched(self, request: Request) -> Response:
        if methods := self._router.methods(request.path):
            allowed = ", ".join(methods)
            refusal = problem(
                405,
                "Method not allowed",
                f"{request.path} answers {allowed}, not {request.method}.",
                "method_not_allowed",
            )
            return Response(refusal.status, refusal.body, (*refusal.headers, ("allow", allowed)))
        return problem(404, "Not found", f"No route {request.method} {request.path}.", "not_found")


def _pattern(path: str) -> str:
    parts = re.split(r"(\{\w+\+?\})", path)
    return "".join(
        f"(?P<{part[1:-1].rstrip('+')}>{'.+' if part.endswith('+}') else '[^/]+'})"
        if part.startswith("{")
        else re.escape(part)
        for part in parts
    )
