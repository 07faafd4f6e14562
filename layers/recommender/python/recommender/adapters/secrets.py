"""The key that signs attribution tokens: from Secrets Manager, or from a variable on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recommender.contracts.settings import MissingSetting

FROM_ENVIRONMENT: Final = "env:"
MIN_BYTES: Final = 16


def signing_secret(secret_id: str, environment: Mapping[str, str]) -> bytes:
    """The secret named by `secret_id`: "env:NAME" for a variable, else a Secrets Manager id or ARN."""
    if secret_id.startswith(FROM_ENVIRONMENT):
        name = secret_id.removeprefix(FROM_ENVIRONMENT)
        value = environment.get(name, "").encode()
    else:
        name, value = secret_id, _from_secrets_manager(secret_id)
    if len(value) < MIN_BYTES:
        raise MissingSetting(f"the signing secret {name} has {len(value)} bytes, expected at least {MIN_BYTES}")
    return value


def _from_secrets_manager(secret_id: str) -> bytes:
    import boto3  # not needed where the secret is a variable

    answer = boto3.client("secretsmanager").get_secret_value(SecretId=secret_id)
    return answer["SecretString"].encode() if "SecretString" in answer else bytes(answer["SecretBinary"])
