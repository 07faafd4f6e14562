"""Calls of simulated browsers: connections that are kept alive and shared, and the same call again after a failure."""

from __future__ import annotations

import http.client
import json
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from recommender.contracts.routes import KEY_HEADER

from local.errors import LocalRunError

TIMEOUT_SECONDS: Final = 60.0
ATTEMPTS: Final = 3
NOTHING: Final[Mapping[str, str]] = {}


class Connection:
    """A client of the local run for any number of threads, open as long as the context."""

    def __init__(self, port: int, publishable_key: str = "") -> None:
        self._port, self._key = port, publishable_key
        self._idle: deque[http.client.HTTPConnection] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().close()

    @property
    def url(self) -> str:
        """The address of the local run."""
        return f"http://127.0.0.1:{self._port}"

    def get(self, path: str, headers: Mapping[str, str] = NOTHING) -> Any:
        """The JSON of a GET."""
        return self._send("GET", path, None, headers)

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] = NOTHING) -> Any:
        """The JSON of a POST; sending it twice must be safe, as it is for events (by id) and recommendations."""
        return self._send("POST", path, json.dumps(body).encode(), headers)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        """Try again where the connection broke or a worker was lost; raises LocalRunError for any other answer."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, text = self._once(method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                status, text = 0, f"{type(error).__name__}: {error}"
            if status in (200, 201, 202):
                return json.loads(text)
            if 0 < status < 500 or attempt == ATTEMPTS:
                break
        raise LocalRunError(f"{method} {path} answers {status or 'nothing'}: {text[:300]}.")

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, str]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            usual = {KEY_HEADER: self._key, "content-type": "application/json"}
            connection.request(method, path, body, {**usual, **headers})
            response = connection.getresponse()
            answer = response.status, response.read().decode()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer
