"""The one way to make a Lambda: folder, layers, settings, log group, tracing, grants and alarms together."""

from __future__ import annotations

import aws_cdk as core
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct
from recommender.contracts.artifacts import CANDIDATE, CURRENT, CURRENT_COPY, STANDBY
from recommender.contracts.metrics import NAMESPACE
from recommender.contracts.routes import Function

from cdk.constructs.function_alarms import watch_function
from cdk.constructs.layers import ARCHITECTURE, RUNTIME, Layers
from cdk.deployment import Deployment
from cdk.layer_sources import NOT_SHIPPED
from cdk.stores import WRITE_ACTIONS, Stores, allow_reading, allow_writing, read_actions


class PythonFunction(Construct):
    """One function of `contracts.routes.FUNCTIONS`, with exactly the grants of its definition."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        definition: Function,
        deployment: Deployment,
        layers: Layers,
        stores: Stores,
    ) -> None:
        super().__init__(scope, construct_id)
        environment = deployment.environment
        self.definition = definition
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            retention=log_retention(environment.log_retention_days),
            removal_policy=core.RemovalPolicy.DESTROY,
        )
        # An own role: the managed policy that CDK would attach may write to every log group of the account.
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(role)
        self.function = lambda_.Function(
            self,
            "Function",
            role=role,
            description=f"{definition.name} ({deployment.prefix})",
            code=function_code(deployment, definition.name),
            handler="handler.handler",
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            layers=layers.all,
            memory_size=definition.memory_mb,
            # Two bundles lie in /tmp while one replaces the other, and beside them a canary's.
            ephemeral_storage_size=core.Size.gibibytes(2) if definition.needs_models else None,
            timeout=core.Duration.seconds(definition.timeout_seconds),
            environment=_variables(definition, deployment, stores),
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE,
            reserved_concurrent_executions=environment.reserved_concurrency.get(definition.name),
        )
        self._grant(stores)
        watch_function(self, self.function, definition, limits=environment.alarms, stores=stores)

    def _grant(self, stores: Stores) -> None:
        for name in self.definition.reads:
            stores.tables[name].grant(self.function, *read_actions(name))
        for name in self.definition.writes:
            stores.tables[name].grant(self.function, *WRITE_ACTIONS)
        if self.definition.reads_artifacts:
            allow_reading(stores.artifacts, self.function, CURRENT, CURRENT_COPY, STANDBY, "bundles/*")
        if self.definition.flips_bundle:
            allow_reading(stores.artifacts, self.function, CANDIDATE)
            allow_writing(stores.artifacts, self.function, CURRENT, CURRENT_COPY)
        if self.definition.writes_events:
            allow_writing(stores.events, self.function, "*")
        if self.definition.reads_secret:
            stores.signing_secret.grant_read(self.function)


def log_retention(days: int) -> logs.RetentionDays:
    """The CDK name of a retention in days."""
    return {14: logs.RetentionDays.TWO_WEEKS, 90: logs.RetentionDays.THREE_MONTHS}[days]


def function_code(deployment: Deployment, name: str) -> lambda_.Code:
    """The folder of a function: `handler.py` alone, everything else is in the layers."""
    folder = deployment.root / "functions" / name
    return lambda_.Code.from_asset(str(folder), exclude=[*NOT_SHIPPED, "__init__.py"])


def _variables(definition: Function, deployment: Deployment, stores: Stores) -> dict[str, str]:
    settings = stores.settings(
        publishable_key_digests=deployment.publishable_key_digests, placements=deployment.placements
    )
    return {
        **settings.to_environment(),
        "POWERTOOLS_SERVICE_NAME": definition.name,
        "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
    }
