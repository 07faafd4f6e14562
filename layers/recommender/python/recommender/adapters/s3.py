"""An artifact store in S3: immutable objects, and one pointer that is flipped with If-Match."""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

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
