"""The HTTP API of the templates is the table of routes."""

from __future__ import annotations

import json

from recommender.contracts.routes import KEY_HEADER, ROUTES, Auth

from cdk.deployment import DEV
from tests.infrastructure.conftest import Synthesis


def test_the_routes_are_those_of_the_contract(dev: Synthesis) -> None:
    routes = {route["RouteKey"] for route in dev.resources("AWS::ApiGatewayV2::Route").values()}
    assert routes == {f"{route.method} {route.path}" for route in ROUTES}


def test_exactly_the_administrative_routes_ask_for_iam(dev: Synthesis) -> None:
    asked = {
        route["RouteKey"]: route.get("AuthorizationType", "NONE")
        for route in dev.resources("AWS::ApiGatewayV2::Route").values()
    }
    for route in ROUTES:
        assert asked[f"{route.method} {route.path}"] == ("AWS_IAM" if route.auth is Auth.IAM else "NONE")


def test_every_route_reaches_the_function_that_it_names(dev: Synthesis) -> None:
    integrations = dev.resources("AWS::ApiGatewayV2::Integration")
    functions = dev.resources("AWS::Lambda::Function")
    reached = {}
    for route in dev.resources("AWS::ApiGatewayV2::Route").values():
        integration = integrations[route["Target"]["Fn::Join"][1][1]["Ref"]]
        function = functions[integration["IntegrationUri"]["Fn::GetAtt"][0]]
        reached[route["RouteKey"]] = function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        assert integration["PayloadFormatVersion"] == "2.0"
    assert reached == {f"{route.method} {route.path}": route.function for route in ROUTES}


def test_the_stage_is_throttled_and_logs_access_without_ids_of_shoppers(dev: Synthesis) -> None:
    (stage,) = dev.resources("AWS::ApiGatewayV2::Stage").values()
    limits = stage["DefaultRouteSettings"]
    assert limits["ThrottlingRateLimit"] == DEV.requests_per_second
    assert limits["ThrottlingBurstLimit"] == DEV.burst_requests
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert "$context.requestId" in logged.values()
    assert not [value for value in logged.values() if "querystring" in value.lower() or "sourceip" in value.lower()]


def test_browsers_may_send_the_key_and_read_the_timing(dev: Synthesis) -> None:
    (api,) = dev.resources("AWS::ApiGatewayV2::Api").values()
    cors = api["CorsConfiguration"]
    assert KEY_HEADER in cors["AllowHeaders"]
    assert "server-timing" in cors["ExposeHeaders"]


def test_production_answers_only_the_origins_that_were_named(prod: Synthesis) -> None:
    (api,) = prod.resources("AWS::ApiGatewayV2::Api").values()
    assert api["CorsConfiguration"]["AllowOrigins"] == ["https://shop.example"]
