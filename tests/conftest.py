"""Fixtures of the whole suite: the embedded AWS, started once, and the environment that points boto3 at it."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws.engine import Engine

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def ministack_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of DynamoDB, its streams, S3, SQS and STS on this machine; one process for the session."""
    engine = Engine(environment={**os.environ}, log=tmp_path_factory.mktemp("ministack") / "ministack.log")
    try:
        yield engine.url
    finally:
        engine.stop()


@pytest.fixture
def aws_environment(ministack_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """An empty AWS: what a process needs to talk to it, also set for this one. Earlier tests have left nothing."""
    reset = urllib.request.Request(f"{ministack_endpoint}/_ministack/reset", method="POST")
    with urllib.request.urlopen(reset, timeout=10):
        pass
    environment = {
        "AWS_ENDPOINT_URL": ministack_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-aws-credentials"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
