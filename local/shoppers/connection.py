"""Calls of a simulated browser: a kept-alive connection for each thread, and the same call again after a failure."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from typing import Any, Final

from recommender.contracts.routes import KEY_HEADER

from local.errors import LocalRunError

TIMEOUT_SECONDS: Final = 60.0
ATTEMPTS: Final = 3


class Connection:
    """A client of the local run that threads may share."""

    def __init__(self, port: int, publishable_key: str = "") -> None:
        self._port, self._key = port, publishable_key
        self._own = threading.local()

    def get(self, path: str) -> Any:
        """The JSON of a GET."""
        return self._send("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a POST; sending it twice must be safe, as it is for events (by id) and recommendations."""
        return self._send("POST", path, json.dumps(body).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> Any:
        """Try again where the connection broke or a worker was lost; raises LocalRunError for any other answer."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, text = self._once(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                self._own.connection = None
                status, text = 0, f"{type(error).__name__}: {error}"
            if status == 200 or status == 202:
                return json.loads(text)
            if 0 < status < 500 or attempt == ATTEMPTS:
                break
        raise LocalRunError(f"{method} {path} answers {status or 'nothing'}: {text[:300]}.")

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
            self._own.connection = connection
        connection.request(method, path, body, {KEY_HEADER: self._key, "content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
