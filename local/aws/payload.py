"""API Gateway's payload format 2.0: an HTTP request as a Lambda event, and a Lambda result as an HTTP response."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from local.aws.runtime_api import Outcome
from local.web import Request, Response, json_response

API_ID: Final = "local"
ACCOUNT: Final = "000000000000"


def to_event(
    request: Request,
    *,
    route_key: str,
    path_parameters: Mapping[str, str],
    now: datetime,
    identity: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The event of a request; `identity` is that of a signed (IAM) caller."""
    headers = {name: value for name, value in request.headers.items() if name != "cookie"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": _context(request, route_key=route_key, now=now, identity=identity),
        "isBase64Encoded": False,
    }
    if cookies := request.headers.get("cookie"):
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if request.query:
        event["queryStringParameters"] = request.parameters
    if path_parameters:
        event["pathParameters"] = {name: unquote(value) for name, value in path_parameters.items()}
    if request.body:
        event["body"], event["isBase64Encoded"] = _encode(request.body)
    return event


def to_response(outcome: Outcome) -> Response:
    """Convert a function's result as API Gateway does; any fault of the function is a bare 500."""
    if outcome.error_type == "TooManyRequestsException":
        return json_response({"message": "Service Unavailable"}, status=503)
    if outcome.error_type == "RequestEntityTooLargeException":
        return json_response({"message": "Request Entity Too Large"}, status=413)
    if outcome.error_type:
        return json_response({"message": "Internal Server Error"}, status=500)
    result = json.loads(outcome.payload)
    if not isinstance(result, Mapping) or "statusCode" not in result:  # the inferred format
        return json_response(result)
    body = result.get("body") or ""
    content = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    headers = [(name.lower(), str(value)) for name, value in (result.get("headers") or {}).items()]
    headers += [("set-cookie", cookie) for cookie in result.get("cookies") or ()]
    return Response(int(result["statusCode"]), content, tuple(headers))


def _context(request: Request, *, route_key: str, now: datetime, identity: Mapping[str, str] | None) -> dict[str, Any]:
    host = request.headers.get("host", "127.0.0.1")
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": API_ID,
        "domainName": host.partition(":")[0],
        "domainPrefix": API_ID,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source_ip,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": route_key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S %z"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    if identity is not None:
        context["authorizer"] = {"iam": dict(identity)}
    return context


def _encode(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True
