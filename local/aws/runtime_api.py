"""The Lambda Runtime API of one execution environment, so that the real `awslambdaric` runs the handlers.

Each worker process has its own server, as on Lambda: it asks for `invocation/next`, which blocks
until the function's queue has work, and posts a response or an error. One invocation is in
flight at a time. The supervisor (workers.py) starts the process, watches deadlines and exits.
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

API_VERSION: Final = "/2018-06-01/runtime"
MAX_PAYLOAD_BYTES: Final = 6 * 1024 * 1024
POLL_SECONDS: Final = 0.25  # how soon a waiting request notices that its worker is gone


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an invocation: the handler's JSON, or an error object and its type."""

    payload: bytes
    error_type: str = ""


def failure(error_type: str, message: str) -> Outcome:
    """An error that the platform, not the handler, reports."""
    return Outcome(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), error_type)


@dataclass(eq=False)
class Invocation:
    """One request on its way through the queue to a worker and back."""

    payload: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float | None = None  # monotonic; set when a worker takes it
    abandoned: bool = False  # nobody waits for it any more
    outcome: Outcome | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def resolve(self, outcome: Outcome) -> None:
        """Answer once; later answers are ignored."""
        if not self.done.is_set():
            self.outcome = outcome
            self.done.set()


class RuntimeApi:
    """Server of one worker. `restart` makes it forget a dead worker and wait for the next."""

    def __init__(self, function_arn: str, requests: queue.Queue[Invocation], *, timeout_seconds: float) -> None:
        self.function_arn = function_arn
        self.timeout_seconds = timeout_seconds
        self.is_ready = False  # the worker has finished its init and asked for work
        self.init_error = ""
        self._requests = requests
        self._current: Invocation | None = None
        self._generation = 0
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="runtime-api", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """host:port for AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def is_overdue(self) -> bool:
        """True when the worker has had its invocation for longer than the function's timeout."""
        current = self._current
        return current is not None and current.deadline is not None and time.monotonic() > current.deadline

    def restart(self) -> None:
        """Let go of the worker: its waiting request ends empty-handed."""
        with self._lock:
            self._generation += 1
            self.is_ready = False

    def fail_current(self, error_type: str, message: str) -> None:
        """Answer the invocation in flight, if any, with a platform error."""
        with self._lock:
            current, self._current = self._current, None
        if current is not None:
            current.resolve(failure(error_type, f"RequestId: {current.request_id} Error: {message}"))

    def take(self) -> Invocation | None:
        """Wait for work; None when this worker was let go meanwhile."""
        with self._lock:
            generation = self._generation
            self.is_ready, self.init_error = True, ""
        while generation == self._generation:
            try:
                invocation = self._requests.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            with self._lock:
                if generation != self._generation:
                    self._requests.put(invocation)
                elif not invocation.abandoned:
                    invocation.deadline = time.monotonic() + self.timeout_seconds
                    self._current = invocation
                    return invocation
        return None

    def finish(self, request_id: str, outcome: Outcome) -> bool:
        """Answer the invocation in flight; False when the id is not that of the invocation in flight."""
        with self._lock:
            current = self._current
            if current is None or current.request_id != request_id:
                return False
            self._current = None
        current.resolve(outcome)
        return True

    def close(self) -> None:
        """Stop serving and free the port."""
        self.restart()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A worker that was killed in the middle of a request is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{API_VERSION}/invocation/next":
            return self._answer(404, b"{}")
        invocation = self.server.api.take()
        if invocation is None:
            self.close_connection = True
            return self._answer(410, b'{"errorMessage":"the environment is shutting down"}')
        return self._answer(200, invocation.payload, self._invocation_headers(invocation))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        error_type = self.headers.get("lambda-runtime-function-error-type") or "Unhandled"
        parts = self.path.removeprefix(f"{API_VERSION}/").split("/")
        if parts == ["init", "error"]:
            self.server.api.init_error = _error_message(body)
            return self._answer(202, b'{"status":"OK"}')
        if len(parts) == 3 and parts[0] == "invocation" and parts[2] in ("response", "error"):
            outcome = Outcome(body, "" if parts[2] == "response" else error_type)
            if not outcome.error_type and len(body) > MAX_PAYLOAD_BYTES:
                outcome = failure("Function.ResponseSizeTooLarge", f"{len(body)} bytes, at most {MAX_PAYLOAD_BYTES}")
            if self.server.api.finish(parts[1], outcome):
                return self._answer(202, b'{"status":"OK"}')
            return self._answer(400, b'{"errorType":"InvalidRequestID"}')
        return self._answer(404, b"{}")

    def _invocation_headers(self, invocation: Invocation) -> dict[str, str]:
        api = self.server.api
        return {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + api.timeout_seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": api.function_arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Sampled=0",
        }

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the worker logs for itself."""


def _error_message(body: bytes) -> str:
    try:
        error = json.loads(body)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace") or "unknown"
