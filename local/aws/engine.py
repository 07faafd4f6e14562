"""ministack as a child: the DynamoDB, DynamoDB Streams and S3 of the local run, on a free port of loopback.

It keeps its state in memory only (a crash would lose it anyway), so whoever starts it fills it. If
it dies it is started again on the same port, and `refill` is called to make the new one whole.

Decisions: docs/decisions/local.md (071).
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from local.aws import processes
from local.settings import LocalRunError

SERVICES: Final = "dynamodb,dynamodbstreams,s3,sqs,sts"
START_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.2


class Engine:
    """The embedded AWS services. The thread that makes it must outlive it."""

    def __init__(self, *, environment: Mapping[str, str], log: Path, port: int = 0, services: str = SERVICES) -> None:
        self.port = port or _free_port()
        self._environment = {
            **processes.bare_environment(environment),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",  # else it listens on 0.0.0.0:8883
            "SERVICES": services,
        }
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._output = log.open("ab")
        self._refill: Callable[[], None] | None = None
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: LocalRunError | None = None
        # The keeper thread starts every process: children are tied to the thread that starts them.
        self._keeper = threading.Thread(target=self._keep, name="engine", daemon=True)
        self._keeper.start()
        self._started.wait()
        if self._failure:
            self.stop()
            raise self._failure

    @property
    def url(self) -> str:
        """The endpoint for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The living process; for checks that pause or kill it."""
        assert self._process is not None
        return self._process

    def refill_with(self, refill: Callable[[], None]) -> None:
        """Set the callback that refills an engine that came back empty."""
        self._refill = refill

    def stop(self) -> None:
        """Stop it and free its port."""
        self._stopping.set()
        self._keeper.join()
        self._output.close()

    def _keep(self) -> None:
        try:
            self._start()
        except LocalRunError as error:
            self._failure = error
        self._started.set()
        while not self._failure and not self._stopping.wait(LOOK_SECONDS):
            if self.process.poll() is not None:
                self._revive()
        if self._process is not None:
            processes.send(self._process, processes.CONTINUE)  # a paused process cannot end
            processes.stop(self._process)

    def _revive(self) -> None:
        try:
            self._start()
            if self._refill is not None:
                self._refill()
        except LocalRunError as error:
            self._output.write(f"{error}\n".encode())  # it is tried again at the next look

    def _start(self) -> None:
        self._process = processes.start(
            [sys.executable, "-m", "ministack"],
            environment=self._environment,
            cwd=self.log.parent,
            output=self._output,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                processes.kill(self._process)
                raise LocalRunError(f"The embedded AWS services do not start on port {self.port}; see {self.log}.")
            time.sleep(0.05)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
