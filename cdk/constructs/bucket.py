"""The one way to make a bucket: private, encrypted, TLS only, versioned, with an end to what it keeps."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as core
from aws_cdk import aws_s3 as s3
from constructs import Construct

OLD_VERSIONS_DAYS = 30  # time to undo an overwritten or deleted object
PASSING_VERSIONS_DAYS = 7  # of what expires by its prefix


class PrivateBucket(Construct):
    """A bucket that outlives its stack: deleting data is never a side effect of deleting infrastructure."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        logs: PrivateBucket | None = None,
        expire_days: int | None = None,
        expire_prefixes: Mapping[str, int] | None = None,
        old_versions_days: int = OLD_VERSIONS_DAYS,
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket: s3.Bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=logs.bucket if logs else None,
            server_access_logs_prefix=f"{construct_id.lower()}/" if logs else None,
            lifecycle_rules=_rules(expire_days, expire_prefixes or {}, old_versions_days),
            removal_policy=core.RemovalPolicy.RETAIN,
        )


def _rules(expire_days: int | None, prefixes: Mapping[str, int], old_versions_days: int) -> list[s3.LifecycleRule]:
    """Expire old versions and broken uploads always, current objects where the caller chooses so."""
    rules = [
        s3.LifecycleRule(
            id="housekeeping",
            abort_incomplete_multipart_upload_after=core.Duration.days(7),
            noncurrent_version_expiration=core.Duration.days(old_versions_days),
            expiration=core.Duration.days(expire_days) if expire_days else None,
        )
    ]
    for prefix, days in prefixes.items():
        rules.append(
            s3.LifecycleRule(
                id=f"expire-{prefix.strip('/').replace('/', '-')}",
                prefix=prefix,
                expiration=core.Duration.days(days),
                noncurrent_version_expiration=core.Duration.days(min(old_versions_days, PASSING_VERSIONS_DAYS)),
            )
        )
    return rules
