"""An artifact store in S3: immutable objects, and one pointer that is flipped with If-Match.

The landing of accepted events on S3: JSON lines, one object a batch, in a folder a day.

The key names the batch, so a batch delivered twice is one object; the warehouse loads the folder's new
objects and merges by event id, so even a batch that was cut differently counts once.

The key that signs attribution tokens: from Secrets Manager, or from a variable on one machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recommender.contracts.settings import MissingSetting
from recommender.errors import Conflict, DependencyDown, NotFound
from recommender.ports import StoredObject

ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
LOST: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class S3Artifacts:
    """Objects of one bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        """`client` is boto3's; `connect` makes one."""
        self._client = client
        self.bucket = bucket

    @classmethod
    def connect(cls, bucket: str, *, read_timeout_seconds: float = 10.0) -> S3Artifacts:
        """A store from the environment (region, credentials, AWS_ENDPOINT_URL), made once per process."""
        config = Config(
            connect_timeout=1.0,
            read_timeout=read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=16,
            s3={"addressing_style": "path"},  # the embedded S3 has no names for buckets
        )
        return cls(boto3.client("s3", config=config), bucket)

    def read(self, key: str) -> StoredObject:
        """The object. Raises NotFound, and DependencyDown where S3 cannot answer."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            return StoredObject(answer["Body"].read(), answer["ETag"])
        except ClientError as error:
            raise self._meaning(key, error) from error
        except BotoCoreError as error:
            raise DependencyDown(f"S3 cannot answer for s3://{self.bucket}/{key}: {error}") from error

    def write(self, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Store and return the etag. Raises Conflict where the condition does not hold."""
        condition = {"IfNoneMatch": "*"} if if_absent else {"IfMatch": if_match} if if_match is not None else {}
        try:
            answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=content, **condition)
        except ClientError as error:
            if if_match is not None and _code(error) in ABSENT:
                raise Conflict(f"s3://{self.bucket}/{key} is gone, expected {if_match}") from error
            raise self._meaning(key, error) from error
        except BotoCoreError as error:
            raise DependencyDown(f"S3 cannot take s3://{self.bucket}/{key}: {error}") from error
        etag: str = answer["ETag"]
        return etag

    def _meaning(self, key: str, error: ClientError) -> NotFound | Conflict | DependencyDown:
        where = f"s3://{self.bucket}/{key}"
        if _code(error) in ABSENT:
            return NotFound(f"there is no artifact {where} ({_code(error)})")
        if _code(error) in LOST:
            return Conflict(f"{where} was changed by another writer ({_code(error)})")
        return DependencyDown(f"S3 refused {where}: {error}")


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


PREFIX: Final = "landing/events"


class S3Landing:
    """An EventSink."""

    def __init__(self, client: Any, bucket: str) -> None:
        """Below PREFIX in this bucket; `client` is boto3's S3 client."""
        self._client = client
        self._bucket = bucket

    def deliver(self, batch_id: str, records: Sequence[Mapping[str, Any]], *, accepted_at: datetime) -> None:
        """Store the records as one object. Raises DependencyDown; the stream delivers the batch again then."""
        body = "".join(json.dumps(record, separators=(",", ":"), sort_keys=True) + "\n" for record in records)
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=landing_key(batch_id, accepted_at),
                Body=body.encode(),
                ContentType="application/x-ndjson",
            )
        except (ClientError, BotoCoreError) as error:
            raise DependencyDown(f"S3 did not take batch {batch_id}: {error}") from error


def landing_key(batch_id: str, accepted_at: datetime) -> str:
    """The object of a batch, in the folder of the day (UTC) on which it was accepted."""
    return f"{PREFIX}/dt={accepted_at.astimezone(UTC).date().isoformat()}/{batch_id}.jsonl"


def s3_client() -> Any:
    """boto3's client; it runs behind a stream, so it can wait longer than a page view."""
    return boto3.client(
        "s3", config=Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
    )


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
