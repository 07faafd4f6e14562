"""Errors of DynamoDB by meaning; a store that is gone is noticed once and then left alone for a while."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from recommender.adapters.dynamodb.client import Database, create_tables, dynamodb_client
from recommender.contracts.tables import TABLES
from recommender.errors import Conflict, DependencyDown


class Failing:
    """A client whose every request fails in a given way."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.count_calls = 0

    def get_item(self, **_request: Any) -> dict[str, Any]:
        self.count_calls += 1
        raise self.error


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetItem")


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "TransactionCanceledException"])
def test_a_lost_condition_is_a_conflict_and_no_outage(code: str) -> None:
    client = Failing(refusal(code))
    database = Database(client)

    for _ in range(2):
        with pytest.raises(Conflict):
            database.call("get_item")

    assert client.count_calls == 2


@pytest.mark.parametrize("error", [refusal("ThrottlingException"), ConnectTimeoutError(endpoint_url="http://gone")])
def test_a_failing_store_is_left_alone_for_a_few_seconds(error: Exception) -> None:
    client, moment = Failing(error), [0.0]
    database = Database(client, clock=lambda: moment[0], rest_seconds=3.0)

    for moment[0] in (0.0, 1.0, 2.9, 3.0):
        with pytest.raises(DependencyDown):
            database.call("get_item")

    assert client.count_calls == 2  # at 0.0 and at 3.0


def test_a_mistake_of_ours_is_not_taken_for_an_outage() -> None:
    with pytest.raises(ClientError):
        Database(Failing(refusal("ValidationException"))).call("get_item")


def test_nobody_listening_is_noticed_at_once(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    database = Database(dynamodb_client())
    started = time.monotonic()

    with pytest.raises(DependencyDown):
        database.call("get_item", TableName="t", Key={"k": {"S": "v"}})

    assert time.monotonic() - started < 2


def test_a_store_that_hangs_is_given_up_after_two_attempts_of_a_second(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        database = Database(dynamodb_client())
        started = time.monotonic()

        with pytest.raises(DependencyDown):
            database.call("get_item", TableName="t", Key={"k": {"S": "v"}})

    assert 1.9 < time.monotonic() - started < 4


def test_tables_are_created_as_defined_and_creating_them_again_changes_nothing(aws_environment: dict[str, str]) -> None:
    client = dynamodb_client()
    create_tables(client, "p-")
    create_tables(client, "p-")

    for table in TABLES:
        found = client.describe_table(TableName=f"p-{table.name}")["Table"]
        keys = [table.partition_key] + ([table.sort_key] if table.sort_key else [])
        assert [key["AttributeName"] for key in found["KeySchema"]] == keys
        assert ("StreamSpecification" in found) == table.streams
        expiry = client.describe_time_to_live(TableName=f"p-{table.name}")["TimeToLiveDescription"]
        assert (expiry["TimeToLiveStatus"] == "ENABLED") == table.expires
