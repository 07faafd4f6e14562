"""A caller of the API as a storefront would be one: real HTTP, one connection a call."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from recommender.contracts.routes import KEY_HEADER

TIMEOUT_SECONDS: Final = 40.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower case) and body of a response."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.text)

    @property
    def is_problem(self) -> bool:
        """True for an RFC 9457 problem document."""
        return self.headers.get("content-type", "").startswith("application/problem+json")


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Calls the gateway on a port of loopback with a publishable key."""

    port: int
    publishable_key: str

    def get(self, path: str) -> Answer:
        """GET a path."""
        return self.send("GET", path, None)

    def post(self, path: str, body: Any) -> Answer:
        """POST a JSON body."""
        return self.send("POST", path, json.dumps(body).encode())

    def send(self, method: str, path: str, body: bytes | None) -> Answer:
        """Send bytes as they are, so that malformed bodies can be sent too."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        headers = {KEY_HEADER: self.publishable_key, "content-type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read().decode())
        finally:
            connection.close()
