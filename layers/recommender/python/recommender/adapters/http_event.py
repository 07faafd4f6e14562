"""The boundary of bytes: whatever arrives as an HTTP event becomes one of a known shape, or a problem of the caller.

API Gateway sends payload 2.0, but a function can also be invoked by hand, and browsers send any bytes. Nothing
behind this module meets None for an object, a lone surrogate in a header, or a body that is no text.

Decisions: docs/decisions/serving.md (234).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from recommender.contracts.fields import problem

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
REPLACEMENT: Final = "\ufffd"


def whole_event(event: object) -> dict[str, Any]:
    """Complete an HTTP event: every part that is read has its type, and texts hold whole characters only."""
    given = _mapping(event)
    context = _mapping(given.get("requestContext"))
    http = _mapping(context.get("http"))
    path = _text(given.get("rawPath") or http.get("path") or "/")
    return {
        **given,
        "version": "2.0",
        "rawPath": path,
        "headers": _texts(given.get("headers")),
        "queryStringParameters": _texts(given.get("queryStringParameters")),
        "cookies": [],
        "body": given.get("body") if isinstance(given.get("body"), str) else None,
        "isBase64Encoded": given.get("isBase64Encoded") is True,
        "requestContext": {
            **context,
            "requestId": _text(context.get("requestId") or ""),
            "stage": _text(context.get("stage") or "$default"),
            "http": {**http, "method": _text(http.get("method") or ""), "path": _text(http.get("path") or path)},
        },
    }


def text_body(event: Mapping[str, Any]) -> str | None:
    """Read the body of a whole event as text. Raises InvalidInput `invalid_json` for what is not UTF-8."""
    body: str | None = event["body"]
    if body is None:
        return None
    try:
        content = base64.b64decode(body, validate=True) if event["isBase64Encoded"] else body.encode()
        return content.decode()
    except (binascii.Error, ValueError) as error:  # UnicodeError is a ValueError
        found = "bytes in base64" if event["isBase64Encoded"] else "text with halves of characters"
        raise problem("/", found, "a JSON document in UTF-8", "invalid_json") from error


def caller_of(event: Mapping[str, Any]) -> str:
    """Name the IAM identity that signed the request; "" for a browser."""
    authorizer = _mapping(_mapping(event.get("requestContext")).get("authorizer"))
    return str(_mapping(authorizer.get("iam")).get("userArn") or "")


def json_text(body: Any) -> str:
    """Write JSON that every reader takes, whatever it echoes: ASCII, and null for what is not a finite number."""
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(body), separators=(",", ":"), allow_nan=False)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return _SURROGATES.sub(REPLACEMENT, value if isinstance(value, str) else str(value))


def _texts(value: object) -> dict[str, str]:
    return {_text(name): _text(found) for name, found in _mapping(value).items() if found is not None}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value
