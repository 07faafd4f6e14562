"""The running system: embedded AWS, workers, gateway, streams and schedule, started and stopped in order."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

from recommender.contracts.metrics import NAMESPACE
from recommender.contracts.routes import FUNCTIONS, Function
from recommender.domain.experiments.running.config import DEFAULT_EXPERIMENT

from local.aws import processes as stops
from local.aws.engine import Engine
from local.aws.gateway import Gateway
from local.aws.processes import bare_environment
from local.aws.provision import SECRET_VARIABLE, Access, fill, households, mark_simulated, serving_settings
from local.aws.runtime_api import Outcome
from local.aws.signing import KeyPair
from local.aws.streams import Schedule, StreamPump, keep_landed, scheduled_event
from local.aws.workers import FunctionSpec, Workers
from local.client import ApiClient
from local.settings import PACKAGE, REGION, ROOT, Keys, LocalRunError, RunSettings
from local.shop import CONSOLE, KeptCatalogue, Shop
from local.web import WebServer, starting

SCHEDULED: Final = "reallocate_traffic"
DRAIN_SECONDS: Final = 60.0
WORKERS: Final = {"recommend": 2}  # one request at a time each, as on Lambda; the others have one


class Stack:
    """Everything that runs while the shop is open; the thread that makes it must outlive it."""

    def __init__(
        self,
        settings: RunSettings,
        keys: Keys,
        server: WebServer,
        *,
        environment: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> None:
        self.settings, self.keys, self.server = settings, keys, server
        self.households: list[str] = []
        self.bundle_id = ""
        self._pumps: list[StreamPump] = []
        self._parts = ExitStack()
        try:
            self._start(environment, progress)
        except BaseException:
            self.stop()
            raise

    @property
    def api(self) -> ApiClient:
        """A client with the publishable key."""
        return ApiClient(self.server.port, self.keys.publishable_key)

    @property
    def administrator(self) -> KeyPair:
        """The key pair of the administrator."""
        return KeyPair(self.keys.access_key, self.keys.secret_key, REGION)

    def report(self) -> Mapping[str, Any]:
        """The report of the default experiment, as the console shows it."""
        answer = self.api.get(f"{CONSOLE}/v1/experiments/{DEFAULT_EXPERIMENT}")
        if answer.status != 200:
            raise LocalRunError(f"The report of {DEFAULT_EXPERIMENT} answers {answer.status}: {answer.text[:300]}.")
        body: Mapping[str, Any] = answer.body
        return body

    def reallocate(self) -> None:
        """End the epoch now rather than at the next scheduled moment."""
        self._end_epoch(datetime.now(UTC))

    def simulate(self, at: datetime) -> Mapping[str, Any]:
        """End the epoch at a simulated moment, once all that was accepted is counted; what the function answers.

        Every experiment it runs on is marked first: whatever comes of it was simulated.
        """
        if not all(pump.drain(seconds=DRAIN_SECONDS) for pump in self._pumps):
            raise LocalRunError(f"The streams are not drained within {DRAIN_SECONDS:.0f} s; try again.")
        mark_simulated(self.access, self.names, at)
        return self._end_epoch(at)

    def process_ids(self) -> list[int]:
        """All children that are running."""
        workers = [pid for function in FUNCTIONS for pid in self.workers.process_ids(function.name)]
        return [self.engine.process.pid, *workers]

    def kill_recommenders(self) -> None:
        """Kill the functions that hold a bundle; cold ones take their place."""
        for pid in self.workers.process_ids("recommend"):
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop everything, last started first; safe to call twice."""
        self.server.site = starting
        self._parts.close()

    def _start(self, environment: Mapping[str, str], progress: Callable[[str], None]) -> None:
        state = self.settings.state
        progress("Starting DynamoDB, S3 and streams")
        with stops.held():
            self.engine = Engine(environment=environment, log=state.logs / "engine.log")
            self._parts.callback(self.engine.stop)
        self.access = Access(self.engine.url, self.keys)
        self.names = serving_settings(self.settings, self.keys)
        fill(self.settings, self.access, self.names)
        self.engine.refill_with(lambda: fill(self.settings, self.access, self.names))
        self.households = households(state)
        if self.settings.keeps_events:
            self._parts.callback(keep_landed, self.access.client("s3"), self.names.events_bucket, state.landing)
        progress("Starting the functions")
        with stops.held():
            self.workers = Workers(self._functions(environment), region=REGION, logs=state.logs)
            self._parts.callback(self.workers.stop)
        self.workers.wait_ready()
        for function in FUNCTIONS:
            if function.trigger == "stream":
                self._pump(function)
        schedule = Schedule(self._reallocate, period_seconds=self.settings.period_seconds)
        schedule.start()
        self._parts.callback(schedule.stop)
        self.server.site = self._site()

    def _functions(self, environment: Mapping[str, str]) -> list[FunctionSpec]:
        shared = {
            **bare_environment(environment),
            **self.names.to_environment(),
            **self.access.variables(),
            SECRET_VARIABLE: self.keys.signing_secret,
            "OMP_NUM_THREADS": "1",
            "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
            "POWERTOOLS_TRACE_DISABLED": "1",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        return [
            FunctionSpec(
                name=function.name,
                task_root=ROOT / "functions" / function.name,
                layer=str(PACKAGE),
                environment={**shared, "POWERTOOLS_SERVICE_NAME": function.name},
                timeout_seconds=function.timeout_seconds,
                memory_mb=function.memory_mb,
                workers=WORKERS.get(function.name, 1),
            )
            for function in FUNCTIONS
        ]

    def _pump(self, function: Function) -> None:
        pump = StreamPump(
            dynamodb=self.access.client("dynamodb"),
            streams=self.access.client("dynamodbstreams"),
            table=self.names.sessions_table,
            deliver=lambda event: self.workers.invoke(function.name, event),
        )
        pump.start()
        self._pumps.append(pump)
        self._parts.callback(pump.stop)

    def _end_epoch(self, at: datetime) -> Mapping[str, Any]:
        outcome = self._reallocate(scheduled_event(at))
        answer: Mapping[str, Any] = json.loads(outcome.payload)
        if outcome.error_type:
            raise LocalRunError(f"{SCHEDULED} failed: {answer.get('errorMessage')}.")
        return answer

    def _reallocate(self, event: Mapping[str, Any]) -> Outcome:
        return self.workers.invoke(SCHEDULED, event)

    def _site(self) -> Shop:
        state = self.settings.state
        catalogue = KeptCatalogue(state.artifacts)
        self.bundle_id = catalogue.bundle_id
        return Shop(
            Gateway(self.workers.invoke, self.administrator),
            files=ROOT / "storefront",
            report=state.model("evaluate"),
            catalogue=catalogue,
            households=self.households,
            publishable_key=self.keys.publishable_key,
            keys=self.administrator,
            simulate=self.simulate,
        )
