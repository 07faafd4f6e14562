"""The HTTP API: routes from contracts, IAM for administrators, throttling, access logs and CORS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

import aws_cdk as core
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_logs as logs
from constructs import Construct
from recommender.contracts.routes import KEY_HEADER, ROUTES, Auth

from cdk.constructs.alarms import level_alarm, period
from cdk.constructs.python_function import PythonFunction, log_retention
from cdk.deployment import Deployment
from cdk.stores import Stores

# No query string, no headers, no body: ids of shoppers stay out of the access log.
ACCESS_LOG = {
    "request_id": "$context.requestId",
    "requested_at": "$context.requestTime",
    "route": "$context.routeKey",
    "status": "$context.status",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "error": "$context.error.message",
}


class PlacementApi(Construct):
    """Every route of `contracts.routes.ROUTES`, each on the function that it names."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: Mapping[str, PythonFunction],
        deployment: Deployment,
        stores: Stores,
    ) -> None:
        super().__init__(scope, construct_id)
        environment = deployment.environment
        self.api = apigateway.HttpApi(
            self,
            "HttpApi",
            description=f"Recommendations and events ({deployment.prefix})",
            create_default_stage=False,
            cors_preflight=_cors(environment.allowed_origins),
        )
        self._add_routes(functions)
        self.log_group = logs.LogGroup(
            self,
            "AccessLogs",
            retention=log_retention(environment.log_retention_days),
            removal_policy=core.RemovalPolicy.DESTROY,
        )
        self.stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            detailed_metrics_enabled=True,
            throttle=apigateway.ThrottleSettings(
                rate_limit=environment.requests_per_second, burst_limit=environment.burst_requests
            ),
        )
        self._log_access()
        level_alarm(
            self,
            "ServerErrors",
            self.api.metric_server_error(period=period(), statistic="Sum"),
            above=environment.alarms.api_server_errors,
            stores=stores,
        )

    @property
    def url(self) -> str:
        """The address of the API."""
        return self.api.api_endpoint

    def _log_access(self) -> None:
        """The log's format can be set from Python only on the stage's CloudFormation resource."""
        resource = cast(apigateway.CfnStage, self.stage.node.default_child)
        resource.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=self.log_group.log_group_arn, format=json.dumps(ACCESS_LOG)
        )

    def _add_routes(self, functions: Mapping[str, PythonFunction]) -> None:
        targets = {
            name: integrations.HttpLambdaIntegration(f"{name}Integration", made.function)
            for name, made in functions.items()
        }
        iam = authorizers.HttpIamAuthorizer()
        for route in ROUTES:
            self.api.add_routes(
                path=route.path,
                methods=[apigateway.HttpMethod[route.method]],
                integration=targets[route.function],
                # Browser routes carry a publishable key, which the function checks: it is no secret, it names a shop.
                authorizer=iam if route.auth is Auth.IAM else apigateway.HttpNoneAuthorizer(),
            )


def _cors(origins: tuple[str, ...]) -> apigateway.CorsPreflightOptions | None:
    """Which pages may call from a browser; none where no origin is configured."""
    if not origins:
        return None
    return apigateway.CorsPreflightOptions(
        allow_origins=list(origins),
        allow_methods=[apigateway.CorsHttpMethod.GET, apigateway.CorsHttpMethod.POST],
        allow_headers=["content-type", KEY_HEADER],
        expose_headers=["server-timing", "x-request-id"],
        max_age=core.Duration.hours(2),
    )
