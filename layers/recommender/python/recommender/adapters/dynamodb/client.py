"""One way to talk to DynamoDB: short timeouts, errors by meaning, and a breaker that keeps a dead store cheap.

A page view cannot wait for a store that is gone. A call gives up after about two seconds in all, and for
a few seconds after a failure further calls are refused at once, so that degraded answers stay fast.
Tables are created from contracts/tables.py, by tests and the local run; on AWS the CDK app does it.

Decisions: docs/decisions/serving.md (057).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recommender.contracts.tables import EXPIRES_AT, TABLES, Table
from recommender.errors import Conflict, DependencyDown

CONNECT_TIMEOUT_SECONDS: Final = 0.5
READ_TIMEOUT_SECONDS: Final = 1.0
ATTEMPTS: Final = 2
REST_SECONDS: Final = 3.0  # how long calls are refused after a failure
LOST_RACES: Final = frozenset(
    {"ConditionalCheckFailedException", "TransactionCanceledException", "TransactionConflictException"}
)
NOT_OUR_FAULT: Final = frozenset(
    {
        "InternalServerError",
        "InternalFailure",
        "ServiceUnavailable",
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "ResourceNotFoundException",  # a table that is being created again
        "UnrecognizedClientException",
        "500",
        "502",
        "503",
        "504",
    }
)

Item = dict[str, dict[str, Any]]  # attribute name -> {"S" | "N" | "B" | …: value}


class Database:
    """A DynamoDB client. `call` raises Conflict for a lost condition and DependencyDown for a store that is gone."""

    def __init__(
        self, client: Any, *, clock: Callable[[], float] = time.monotonic, rest_seconds: float = REST_SECONDS
    ) -> None:
        """Wrap boto3's client."""
        self._client = client
        self._clock = clock
        self._rest_seconds = rest_seconds
        self._rests_until = -float("inf")

    def call(self, operation: str, /, **request: Any) -> dict[str, Any]:
        """One request, such as `call("get_item", TableName=…, Key=…)`."""
        if self._clock() < self._rests_until:
            raise DependencyDown("DynamoDB failed a moment ago and is left alone for a few seconds")
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in LOST_RACES:
                raise Conflict(f"{operation}: {error}") from error
            if code not in NOT_OUR_FAULT:
                raise  # a mistake of ours must not look like an outage
            raise self._down(operation, error) from error
        except BotoCoreError as error:
            raise self._down(operation, error) from error
        return answer

    def _down(self, operation: str, error: Exception) -> DependencyDown:
        self._rests_until = self._clock() + self._rest_seconds
        return DependencyDown(f"DynamoDB cannot answer {operation}: {error}")


def connect(*, rest_seconds: float = REST_SECONDS) -> Database:
    """A database from the environment (region, credentials, AWS_ENDPOINT_URL), made once per process."""
    return Database(dynamodb_client(), rest_seconds=rest_seconds)


def dynamodb_client() -> Any:
    """boto3's client with timeouts that a page view can bear."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "legacy", "total_max_attempts": ATTEMPTS},  # waits 50 ms where "standard" waits up to 1 s
        max_pool_connections=20,
        tcp_keepalive=True,
        parameter_validation=False,  # the service checks them itself
    )
    client = boto3.client("dynamodb", config=config)
    client.meta.events.register("before-parse.dynamodb.Query", read_items_plainly)
    return client


def read_items_plainly(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the items of a query's page as JSON has them: botocore's reader takes seven times as long for each.

    An epoch job reads hundreds of thousands. Binary attributes stay in base64; no table that is queried has any.
    """
    if response_dict["status_code"] == 200:
        page = json.loads(response_dict["body"])
        customized_response_dict["Items"] = page.pop("Items", [])
        response_dict["body"] = json.dumps(page).encode()


def table_name(prefix: str, logical_name: str) -> str:
    """The physical name of a table of contracts/tables.py."""
    return f"{prefix}{logical_name}"


def create_tables(client: Any, prefix: str = "") -> None:
    """Create each table that is missing, with its TTL, stream and recovery; `client` is boto3's."""
    existing = set(client.list_tables()["TableNames"])
    for table in TABLES:
        if table_name(prefix, table.name) not in existing:
            _create(client, table, table_name(prefix, table.name))


def _create(client: Any, table: Table, name: str) -> None:
    keys = [(table.partition_key, "HASH")] + ([(table.sort_key, "RANGE")] if table.sort_key else [])
    definition: dict[str, Any] = {
        "TableName": name,
        "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if table.streams:
        definition["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    client.create_table(**definition)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    if table.expires:
        client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES_AT}
        )
    if table.recoverable:
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
