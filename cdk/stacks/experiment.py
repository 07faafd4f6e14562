"""Learning from outcomes: the two consumers of the session stream, and the reallocation of traffic."""

from __future__ import annotations

from typing import Any

import aws_cdk as core
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct
from recommender.contracts.routes import FUNCTIONS

from cdk.constructs.function_alarms import watch_schedule
from cdk.constructs.layers import Layers
from cdk.constructs.python_function import PythonFunction
from cdk.constructs.session_stream import StreamConsumer
from cdk.deployment import Deployment
from cdk.stores import Stores

COUNTER = "count_outcomes"  # its position in the stream is kept by shard, so its batches carry their shard


class ExperimentStack(core.Stack):
    """Every function whose trigger is `stream` or `schedule`."""

    def __init__(
        self, scope: Construct, construct_id: str, *, deployment: Deployment, stores: Stores, **options: Any
    ) -> None:
        super().__init__(scope, construct_id, **options)
        layers = Layers(self, "Layers", deployment=deployment)
        self.functions: dict[str, PythonFunction] = {}
        for definition in FUNCTIONS:
            if definition.trigger == "http":
                continue
            made = PythonFunction(
                self,
                definition.name.title().replace("_", ""),
                definition=definition,
                deployment=deployment,
                layers=layers,
                stores=stores,
            )
            self.functions[definition.name] = made
            if definition.trigger == "stream":
                StreamConsumer(
                    made,
                    "Stream",
                    consumer=made,
                    numbers=deployment.environment.stream,
                    limits=deployment.environment.alarms,
                    stores=stores,
                    names_its_shard=definition.name == COUNTER,
                )
            else:
                _schedule(made, deployment, stores)


def _schedule(made: PythonFunction, deployment: Deployment, stores: Stores) -> None:
    """Starts the function once an epoch. A run that is missed is not made up for: the next one sees all counts."""
    every = core.Duration.minutes(deployment.environment.reallocation_minutes)
    scheduler.Schedule(
        made,
        "Schedule",
        description=f"{made.definition.name} ({deployment.prefix})",
        schedule=scheduler.ScheduleExpression.rate(every),
        target=targets.LambdaInvoke(made.function, retry_attempts=2, max_event_age=core.Duration.minutes(15)),
    )
    watch_schedule(made, made.function, made.definition, every=every, stores=stores)
