"""SigV4 for the admin routes: signatures are checked as IAM authorisation does, with one local key pair."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.aws.payload import ACCOUNT
from local.web import Request

SERVICE: Final = "execute-api"
CLOCK_SKEW: Final = timedelta(minutes=15)
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The only administrator of the local run."""

    access_key: str
    secret_key: str
    region: str


def sign(method: str, url: str, keys: KeyPair, *, body: bytes = b"") -> dict[str, str]:
    """The headers that make a request to an admin route acceptable."""
    request = AWSRequest(method=method, url=url, data=body)
    SigV4Auth(Credentials(keys.access_key, keys.secret_key), SERVICE, keys.region).add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}


def verify(request: Request, keys: KeyPair, *, now: datetime) -> Mapping[str, str] | None:
    """The identity behind a signed request, or None where the signature is absent, wrong or stale."""
    match = AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None or (match["key"], match["region"], match["service"]) != (keys.access_key, keys.region, SERVICE):
        return None
    timestamp = request.headers.get("x-amz-date", "")
    if not timestamp.startswith(match["date"]) or not _is_recent(timestamp, now):
        return None
    try:
        expected = _signature(request, keys, match["headers"].split(";"), timestamp)
    except ValueError:  # a host or a path that no URL has
        return None
    if not hmac.compare_digest(expected, match["signature"]):
        return None
    arn = f"arn:aws:iam::{ACCOUNT}:user/local"
    return {
        "accessKey": keys.access_key,
        "accountId": ACCOUNT,
        "callerId": keys.access_key,
        "userArn": arn,
        "userId": "local",
    }


def _signature(request: Request, keys: KeyPair, signed: list[str], timestamp: str) -> str:
    url = f"http://{request.headers.get('host', '')}{request.path}"
    if request.query:
        url += f"?{request.query}"
    rebuilt = AWSRequest(method=request.method, url=url, data=request.body)
    for name in signed:
        rebuilt.headers[name] = request.headers.get(name, "")
    rebuilt.context["timestamp"] = timestamp
    auth: Any = SigV4Auth(Credentials(keys.access_key, keys.secret_key), SERVICE, keys.region)
    return str(auth.signature(auth.string_to_sign(rebuilt, auth.canonical_request(rebuilt)), rebuilt))


def _is_recent(timestamp: str, now: datetime) -> bool:
    try:
        moment = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(now - moment) <= CLOCK_SKEW
