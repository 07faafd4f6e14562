"""The signing secret comes from a variable or from Secrets Manager, and is never a short one."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber
from recommender.adapters.s3 import signing_secret
from recommender.contracts.settings import MissingSetting


def test_a_variable_can_hold_it() -> None:
    assert signing_secret("env:SIGNING", {"SIGNING": "0123456789abcdef"}) == b"0123456789abcdef"


@pytest.mark.parametrize("environment", [{}, {"SIGNING": "short"}])
def test_a_missing_or_short_secret_stops_the_process_by_name(environment: dict[str, str]) -> None:
    with pytest.raises(MissingSetting, match=r"SIGNING .* at least 16"):
        signing_secret("env:SIGNING", environment)


@pytest.mark.parametrize(
    "stored", [{"SecretString": "a secret of Secrets Manager"}, {"SecretBinary": b"a secret of Secrets Manager"}]
)
def test_else_it_is_read_from_secrets_manager(monkeypatch: pytest.MonkeyPatch, stored: dict[str, str]) -> None:
    client = boto3.client("secretsmanager", region_name="eu-central-1")
    monkeypatch.setattr(boto3, "client", lambda _service: client)

    with Stubber(client) as stub:
        stub.add_response("get_secret_value", stored, {"SecretId": "recommender/signing"})

        assert signing_secret("recommender/signing", {}) == b"a secret of Secrets Manager"
