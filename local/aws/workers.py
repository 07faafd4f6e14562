"""Pools of real Lambda workers: start, watch, respawn, kill on timeout, stop.

One supervisor thread starts every process (children are tied to the thread that starts them) and
looks at each a few times a second: a worker that exits is replaced and its invocation answered
with `Runtime.ExitError`; one that overruns its function's timeout is killed, as on Lambda.

Decisions: docs/decisions/local.md (070).
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from local.aws import processes
from local.aws.runtime_api import MAX_PAYLOAD_BYTES, Invocation, Outcome, RuntimeApi, failure
from local.settings import LocalRunError

LOOK_SECONDS: Final = 0.05
QUEUE_SECONDS: Final = 20.0  # how long a request may wait for a free worker
FIRST_BACKOFF_SECONDS: Final = 0.5
LAST_BACKOFF_SECONDS: Final = 8.0
ACCOUNT: Final = "000000000000"
RUNTIME_PACKAGES: Final = sysconfig.get_path("purelib")  # stands in for the runtime layer


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One function: its folder (with handler.py), its limits, its environment and how many workers it gets."""

    name: str
    task_root: Path
    environment: Mapping[str, str]
    layer: str  # folder of the package layer
    timeout_seconds: float
    memory_mb: int = 512
    workers: int = 1


class Workers:
    """The pools of all functions; `invoke` is synchronous, as the RequestResponse invocation is."""

    def __init__(self, functions: list[FunctionSpec], *, region: str, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._specs = {spec.name: spec for spec in functions}
        self._queues: dict[str, queue.Queue[Invocation]] = {spec.name: queue.Queue() for spec in functions}
        self._environments = [
            _Environment(spec, self._queues[spec.name], region=region, log=logs / f"{spec.name}.log")
            for spec in functions
            for _ in range(spec.workers)
        ]
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervisor.start()

    def invoke(self, function: str, event: Mapping[str, Any]) -> Outcome:
        """Run the handler on an event and wait for what it comes to; never raises for the handler's faults."""
        spec, payload = self._specs[function], json.dumps(event).encode()
        if len(payload) > MAX_PAYLOAD_BYTES:
            return failure("RequestEntityTooLargeException", f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}")
        invocation = Invocation(payload)
        self._queues[function].put(invocation)
        invocation.done.wait(QUEUE_SECONDS)
        if invocation.deadline is None:
            invocation.abandoned = True
            return invocation.outcome or failure("TooManyRequestsException", self._why_unavailable(function))
        invocation.done.wait(spec.timeout_seconds + 5.0)  # the supervisor answers at the deadline
        return invocation.outcome or failure("Sandbox.Timedout", "the worker did not answer")

    def wait_ready(self, *, seconds: float = 60.0) -> None:
        """Wait until every worker has finished its init. Raises LocalRunError naming the one that cannot."""
        deadline = time.monotonic() + seconds
        while waiting := [environment for environment in self._environments if not environment.api.is_ready]:
            broken = next((environment for environment in waiting if environment.api.init_error), None)
            if broken or time.monotonic() > deadline:
                culprit = broken or waiting[0]
                reason = culprit.api.init_error or f"no answer within {seconds:.0f} s"
                raise LocalRunError(f"Function {culprit.spec.name} cannot start: {reason}; see {culprit.log}.")
            time.sleep(LOOK_SECONDS)

    def process_ids(self, function: str) -> list[int]:
        """The process ids of the living workers of a function."""
        return [
            environment.process.pid
            for environment in self._environments
            if environment.spec.name == function and environment.process and environment.process.poll() is None
        ]

    def stop(self) -> None:
        """Stop every worker and free every port; waiting invocations are answered with an error."""
        self._stopping.set()
        self._supervisor.join()
        for environment in self._environments:
            environment.close()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            for environment in self._environments:
                environment.look(time.monotonic())
            self._stopping.wait(LOOK_SECONDS)
        for environment in self._environments:  # here, because this thread is the workers' parent
            environment.terminate()

    def _why_unavailable(self, function: str) -> str:
        errors = [e.api.init_error for e in self._environments if e.spec.name == function and e.api.init_error]
        return errors[0] if errors else f"every worker of {function} was busy for {QUEUE_SECONDS:.0f} s"


class _Environment:
    """One worker process, its Runtime API, and when it may be started again."""

    def __init__(self, spec: FunctionSpec, requests: queue.Queue[Invocation], *, region: str, log: Path) -> None:
        self.spec, self.log, self._region = spec, log, region
        self.api = RuntimeApi(
            f"arn:aws:lambda:{region}:{ACCOUNT}:function:{spec.name}", requests, timeout_seconds=spec.timeout_seconds
        )
        self.process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] = log.open("ab")
        self._backoff, self._start_at = FIRST_BACKOFF_SECONDS, 0.0

    def look(self, now: float) -> None:
        """Start, replace or kill the worker, whichever is due."""
        if self.process is None:
            if now >= self._start_at:
                self._start()
        elif self.api.is_overdue:
            self.api.fail_current("Sandbox.Timedout", f"Task timed out after {self.spec.timeout_seconds:.2f} seconds")
            processes.kill(self.process)
            self._forget(now)
        elif (status := self.process.poll()) is not None:
            processes.kill(self.process)  # what it may have started
            self.api.fail_current("Runtime.ExitError", f"Runtime exited with status {status}")
            self._forget(now)
        elif self.api.is_ready:
            self._backoff = FIRST_BACKOFF_SECONDS

    def terminate(self) -> None:
        """Stop the worker for good."""
        if self.process is not None:
            processes.stop(self.process, grace_seconds=1.0)
        self.api.fail_current("Runtime.ExitError", "the local run is stopping")

    def close(self) -> None:
        """Free the port and the log."""
        self.api.close()
        self._output.close()

    def _forget(self, now: float) -> None:
        was_ready = self.api.is_ready
        self.api.restart()
        self.process = None
        if not was_ready:  # a failing init must not spin
            self._start_at = now + self._backoff
            self._backoff = min(2 * self._backoff, LAST_BACKOFF_SECONDS)

    def _start(self) -> None:
        # Without `site`, the .pth files of an editable install are not read: nothing but layer and function is found.
        command = [sys.executable, "-S", "-m", "awslambdaric", "handler.handler"]
        self.process = processes.start(
            command, environment=self._variables(), cwd=self.spec.task_root, output=self._output
        )

    def _variables(self) -> dict[str, str]:
        return {
            **self.spec.environment,
            "PYTHONPATH": os.pathsep.join((self.spec.layer, RUNTIME_PACKAGES)),
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "_HANDLER": "handler.handler",
            "LAMBDA_TASK_ROOT": str(self.spec.task_root),
            "AWS_LAMBDA_FUNCTION_NAME": self.spec.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.spec.memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.spec.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "TZ": ":UTC",
        }
