"""Importing a function as Lambda does: its environment first, then its module."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from recommender.adapters.http import key_digest
from recommender.contracts.settings import ServingSettings

KEY = "pk_test"
SETTINGS = ServingSettings(
    sessions_table="sessions",
    shoppers_table="shoppers",
    experiments_table="experiments",
    ledger_table="ledger",
    catalog_overrides_table="catalog_overrides",
    artifacts_bucket="artifacts",
    events_bucket="events",
    signing_secret_id="env:RECOMMENDER_SIGNING_SECRET",
    publishable_key_digests=key_digest(KEY),
)
ENVIRONMENT = {
    **SETTINGS.to_environment(),
    "RECOMMENDER_SIGNING_SECRET": "a secret of at least sixteen bytes",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "POWERTOOLS_TRACE_DISABLED": "1",
}


def deployed(function: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a function, imported under a complete environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return importlib.import_module(f"functions.{function}.handler")


def http_event(
    method: str, path: str, *, body: str | None = None, key: str | None = KEY, caller: str = ""
) -> dict[str, Any]:
    """An API Gateway payload of version 2.0; `caller` is the ARN of a signed request."""
    headers = {"content-type": "application/json"} | ({"x-publishable-key": key} if key else {})
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "body": body,
        "isBase64Encoded": False,
        "requestContext": {
            "requestId": "request-1",
            "stage": "$default",
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
            **({"authorizer": {"iam": {"userArn": caller}}} if caller else {}),
        },
    }
