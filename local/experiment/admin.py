"""A signed caller of the administrative routes: of the local run with its own keys, of AWS with the usual ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session

from local.aws.signing import SERVICE
from local.settings import REGION, Keys, LocalRunError, StateFolder

TIMEOUT_SECONDS: Final = 60.0
LOOPBACK: Final = ("127.0.0.1", "localhost")
API_HOST: Final = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com$")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON body; a problem document where the status is 400 or more."""

    status: int
    body: Mapping[str, Any]

    @property
    def is_refusal(self) -> bool:
        """True for every answer that is a problem."""
        return self.status >= 400


@dataclass(frozen=True, slots=True)
class Admin:
    """Signs each request with SigV4 for API Gateway."""

    url: str
    credentials: Any  # botocore's, with a session token where there is one
    region: str

    def get(self, path: str) -> Answer:
        """GET a path below /v1."""
        return self._send("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST a JSON object to a path below /v1."""
        return self._send("POST", path, json.dumps(body).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        address = f"{self.url.rstrip('/')}/v1{path}"
        signed = AWSRequest(method=method, url=address, data=body, headers={"content-type": "application/json"})
        SigV4Auth(self.credentials, SERVICE, self.region).add_auth(signed)
        request = Request(address, body, dict(signed.headers.items()), method=method)  # noqa: S310 - http(s) only
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return Answer(answer.status, json.loads(answer.read()))
        except HTTPError as error:
            return Answer(error.code, _problem(error.code, error.read()))
        except (URLError, OSError, ValueError) as error:
            raise LocalRunError(f"No answer from {self.url}: {error}. Does `make run` run there?") from error


def connect(url: str, *, state_dir: Path, region: str | None) -> Admin:
    """The caller for an address. On this machine the keys of the state folder sign, elsewhere the AWS chain's."""
    parts = urlparse(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LocalRunError(f"The address is {url!r}, expected http://… or https://…")
    if parts.hostname in LOOPBACK:
        keys = _local_keys(state_dir)
        return Admin(url, Credentials(keys.access_key, keys.secret_key), REGION)
    session = Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise LocalRunError(f"No AWS credentials: {url} wants signed requests (environment, profile or role).")
    found = API_HOST.search(parts.hostname)
    chosen = region or (found[1] if found else session.get_config_variable("region"))
    if not chosen:
        raise LocalRunError(f"The AWS region of {url} is not known; give --region.")
    return Admin(url, credentials, chosen)


def _local_keys(state_dir: Path) -> Keys:
    try:
        return Keys(**json.loads(StateFolder(state_dir).keys.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise LocalRunError(f"No keys in {state_dir}: start `make run` first, or give --url.") from error


def _problem(status: int, content: bytes) -> Mapping[str, Any]:
    """Return the problem document; a gateway's plain text becomes its detail."""
    try:
        body = json.loads(content)
    except ValueError:
        body = {"message": content[:200].decode(errors="replace")}
    if not isinstance(body, Mapping) or "code" not in body:
        words = body.get("message", "") if isinstance(body, Mapping) else ""
        return {"status": status, "code": "refused", "detail": words or "no reason was given"}
    return body
