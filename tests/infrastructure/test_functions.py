"""Functions: settings, logs, code and permissions, each as its definition in contracts says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.metrics import NAMESPACE
from recommender.contracts.routes import FUNCTIONS, Function
from recommender.contracts.settings import ServingSettings, variable
from recommender.contracts.tables import TABLES

from cdk.composition import WILDCARDS
from cdk.deployment import DEV
from tests.infrastructure.conftest import KEY_DIGEST, Synthesis

READS = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"}
WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"}
STREAM = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}


def lambda_of(synthesis: Synthesis, name: str) -> dict[str, Any]:
    (found,) = (
        properties
        for properties in synthesis.resources("AWS::Lambda::Function").values()
        if properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == name
    )
    return found


def statements_of(synthesis: Synthesis, name: str) -> list[dict[str, Any]]:
    """What the role of a function may do."""
    role = lambda_of(synthesis, name)["Role"]["Fn::GetAtt"][0]
    return [
        statement
        for policy in synthesis.resources("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def flat(resource: Any) -> str:
    """A resource of a statement as one text, in the notation of cdk-nag."""
    if isinstance(resource, str):
        return resource
    (kind, value), *_ = resource.items()
    if kind == "Fn::Join":
        return "".join(flat(part) for part in value[1])
    if kind == "Fn::GetAtt":
        return f"<{value[0]}.{value[1]}>"
    return str(value) if kind == "Fn::ImportValue" else f"<{value}>"


def table_actions(synthesis: Synthesis, name: str) -> dict[str, set[str]]:
    """Actions of a function on each table, by logical name."""
    actions: dict[str, set[str]] = {}
    for statement in statements_of(synthesis, name):
        for resource in map(flat, as_list(statement["Resource"])):
            for table in TABLES:
                if f"{table.name.title().replace('_', '')}Table" in resource:
                    actions.setdefault(table.name, set()).update(as_list(statement["Action"]))
    return actions


def test_every_function_of_the_contract_exists_and_no_other(dev: Synthesis) -> None:
    assert len(dev.resources("AWS::Lambda::Function")) == len(FUNCTIONS)
    for definition in FUNCTIONS:
        function = lambda_of(dev, definition.name)
        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == ["arm64"]
        assert function["Handler"] == "handler.handler"
        assert function["MemorySize"] == definition.memory_mb
        assert function["Timeout"] == definition.timeout_seconds
        assert function["TracingConfig"] == {"Mode": "Active"}


def test_every_function_gets_exactly_the_settings_that_it_reads(dev: Synthesis) -> None:
    settings = {variable(name) for name in ServingSettings.__dataclass_fields__}
    for definition in FUNCTIONS:
        variables = lambda_of(dev, definition.name)["Environment"]["Variables"]
        assert set(variables) == settings | {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == NAMESPACE
        assert variables["RECOMMENDER_PUBLISHABLE_KEY_DIGESTS"] == KEY_DIGEST


def test_every_log_group_has_a_retention_and_every_function_its_own_group(dev: Synthesis) -> None:
    groups = dev.resources("AWS::Logs::LogGroup")
    assert {group["RetentionInDays"] for group in groups.values()} == {DEV.log_retention_days}
    used = [
        function["LoggingConfig"]["LogGroup"]["Ref"] for function in dev.resources("AWS::Lambda::Function").values()
    ]
    assert len(set(used)) == len(FUNCTIONS)
    assert set(used) <= groups.keys()


@pytest.mark.parametrize("definition", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_touches_only_the_tables_it_names(dev: Synthesis, definition: Function) -> None:
    expected: dict[str, set[str]] = {}
    for table in definition.reads:
        expected.setdefault(table, set()).update(READS | ({"dynamodb:Scan"} if table == "catalog_overrides" else set()))
    for table in definition.writes:
        expected.setdefault(table, set()).update(WRITES)
    if definition.trigger == "stream":
        expected.setdefault("sessions", set()).update(STREAM)
    assert table_actions(dev, definition.name) == expected


@pytest.mark.parametrize("definition", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_touches_only_the_objects_and_secrets_it_names(dev: Synthesis, definition: Function) -> None:
    actions = {action for statement in statements_of(dev, definition.name) for action in as_list(statement["Action"])}
    assert ("s3:GetObject" in actions) is definition.reads_artifacts
    assert ("s3:PutObject" in actions) is (definition.writes_events or definition.flips_bundle)
    assert ("secretsmanager:GetSecretValue" in actions) is definition.reads_secret
    assert not any(action.startswith(("s3:Delete", "s3:PutObjectAcl", "iam:")) for action in actions)


def test_no_action_has_a_wildcard_and_every_wildcard_resource_is_named_with_its_reason(dev: Synthesis) -> None:
    for policy in dev.resources("AWS::IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert not [action for action in as_list(statement["Action"]) if "*" in action]
            for resource in map(flat, as_list(statement["Resource"])):
                assert "*" not in resource or any(re.fullmatch(known, resource) for known in WILDCARDS), resource


def test_only_actions_that_know_no_resource_are_allowed_everywhere(dev: Synthesis) -> None:
    everywhere = {
        action
        for policy in dev.resources("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
        if "*" in as_list(statement["Resource"])
    }
    assert everywhere == {
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
    }


def test_no_role_has_a_managed_policy(dev: Synthesis) -> None:
    assert not [role for role in dev.resources("AWS::IAM::Role").values() if "ManagedPolicyArns" in role]


def test_the_package_of_a_function_is_its_handler_alone(dev: Synthesis) -> None:
    for definition in FUNCTIONS:
        folder = dev.asset(lambda_of(dev, definition.name))
        assert files_in(folder) == {"handler.py"}, definition.name


def test_the_recommender_layer_is_the_package_and_nothing_else(dev: Synthesis) -> None:
    layers = dev.resources("AWS::Lambda::LayerVersion").values()
    (folder,) = {dev.asset(layer) for layer in layers if layer["Description"] == "The recommender package"}
    files = files_in(folder)
    assert "python/recommender/contracts/routes.py" in files
    assert {Path(file).parts[:2] for file in files} == {("python", "recommender")}
    assert not [file for file in files if "__pycache__" in file or "egg-info" in file]


def test_every_function_has_both_layers(dev: Synthesis) -> None:
    for definition in FUNCTIONS:
        assert len(lambda_of(dev, definition.name)["Layers"]) == 2


def test_production_bounds_concurrency_where_its_numbers_say(prod: Synthesis) -> None:
    assert lambda_of(prod, "reallocate_traffic")["ReservedConcurrentExecutions"] == 1
    assert lambda_of(prod, "recommend")["ReservedConcurrentExecutions"] == 300
    assert "ReservedConcurrentExecutions" not in lambda_of(prod, "count_outcomes")


def files_in(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
