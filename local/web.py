"""A small HTTP server for loopback: whole requests in, whole responses out.

The port is bound and answered from the first second (503 until the system is ready), so that a
port in use is found before the long job and cannot be lost during it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl

from local.settings import LocalRunError

MAX_BODY_BYTES: Final = 10 * 1024 * 1024  # API Gateway's payload limit
IDLE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case, repeated ones joined with commas."""

    method: str
    path: str  # as sent, without the query
    query: str  # as sent
    headers: dict[str, str]
    body: bytes = b""
    source_ip: str = "127.0.0.1"

    @property
    def parameters(self) -> dict[str, str]:
        """Query parameters; repeated ones joined with commas, as in payload v2.0."""
        joined: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        return joined


@dataclass(frozen=True, slots=True)
class Response:
    """One response."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Site = Callable[[Request], Response]


def json_response(body: Any, *, status: int = 200, content_type: str = "application/json") -> Response:
    """A JSON body that no cache keeps."""
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(status, content, (("content-type", content_type), ("cache-control", "no-store")))


def problem(status: int, title: str, detail: str, code: str) -> Response:
    """An RFC 9457 problem document with a stable code, in the form of the API's own."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    return json_response(body, status=status, content_type="application/problem+json")


def starting(_: Request) -> Response:
    """The site until the system is up."""
    response = problem(503, "Starting", "The local run is still preparing data and models.", "starting")
    return Response(response.status, response.body, (*response.headers, ("retry-after", "5")))


class WebServer:
    """A server on 127.0.0.1 whose site can be exchanged while it runs."""

    def __init__(self, port: int, *, site: Site = starting) -> None:
        self.site = site
        try:
            self._server = _Server(port, self)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise LocalRunError(
                f"Port {port} of 127.0.0.1 cannot be used ({reason}); choose another with PORT=, for example PORT=8081."
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gateway", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address to show."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, owner: WebServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_SECONDS
    server: _Server

    def _serve(self) -> None:
        refusal, body = self._read_body()
        path, _, query = self.path.partition("?")
        request = Request(self.command, path, query, self._headers(), body, self.client_address[0])
        self._write(refusal or self.server.owner.site(request))

    def __getattr__(self, name: str) -> Any:
        """Serve every method, TRACE and unknown ones too: the site refuses those it does not know."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that http.server cannot read with a problem of the client's."""
        self.close_connection = True
        self.request_version, self.command = self.protocol_version, "GET"
        status = code if code < 500 else 400  # an HTTP version that is not spoken
        self._write(problem(status, "Bad request", message or "The request cannot be read.", "bad_request"))

    def _read_body(self) -> tuple[Response | None, bytes]:
        length = self.headers.get("content-length")
        if length is None and self.headers.get("transfer-encoding"):
            self.close_connection = True
            return problem(411, "Length required", "Send the body with a Content-Length.", "length_required"), b""
        if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 20):
            self.close_connection = True
            return problem(400, "Bad request", f"Content-Length is {length[:80]!r}.", "invalid_argument"), b""
        if int(length or 0) > MAX_BODY_BYTES:
            self.close_connection = True  # the body is left unread
            detail = f"The body has {length} bytes, at most {MAX_BODY_BYTES}."
            return problem(413, "Too large", detail, "too_large"), b""
        try:
            return None, self.rfile.read(int(length or 0))
        except TimeoutError:
            self.close_connection = True
            return problem(408, "Request timeout", f"The body has fewer than {length} bytes.", "request_timeout"), b""

    def _headers(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            joined[key] = f"{joined[key]},{value}" if key in joined else value
        return joined

    def _write(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if response.status not in (204, 304):
            self.send_header("content-length", str(len(response.body)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self.wfile.write(response.body)
        self.wfile.flush()

    def version_string(self) -> str:
        """Say no version of anything."""
        return "local"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the functions log their requests."""
