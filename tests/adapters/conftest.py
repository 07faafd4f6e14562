"""The project's tables on the embedded DynamoDB, empty for each test."""

from __future__ import annotations

import pytest
from recommender.adapters.dynamodb.client import Database, create_tables, dynamodb_client

PREFIX = "test-"


@pytest.fixture
def database(aws_environment: dict[str, str]) -> Database:
    """A database with every table of contracts/tables.py; none of them rests after a failure."""
    client = dynamodb_client()
    create_tables(client, PREFIX)
    return Database(client, rest_seconds=0.0)
