"""What the data stack hands to the others, and which actions on it a function may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from recommender.contracts.settings import ServingSettings
from recommender.contracts.tables import CATALOG_OVERRIDES

READ_ACTIONS = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
WRITE_ACTIONS = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem")
# The overrides are few and wanted as a whole: the only table that is read without a key.
SCANNED = (CATALOG_OVERRIDES.name,)


@dataclass(frozen=True)
class Stores:
    """Tables by logical name, buckets, the signing secret and the topic that alarms go to."""

    tables: Mapping[str, dynamodb.TableV2]
    artifacts: s3.IBucket
    events: s3.IBucket
    exports: s3.IBucket
    signing_secret: secretsmanager.ISecret
    alarm_topic: sns.ITopic

    def settings(self, *, publishable_key_digests: tuple[str, ...], placements: str) -> ServingSettings:
        """The settings of every function of a deployment."""
        return ServingSettings(
            **{f"{name}_table": table.table_name for name, table in self.tables.items()},
            artifacts_bucket=self.artifacts.bucket_name,
            events_bucket=self.events.bucket_name,
            signing_secret_id=self.signing_secret.secret_arn,
            publishable_key_digests=",".join(publishable_key_digests),
            placements=placements,
        )


def read_actions(table: str) -> tuple[str, ...]:
    """What a function that reads this table may do."""
    return (*READ_ACTIONS, "dynamodb:Scan") if table in SCANNED else READ_ACTIONS


def allow_reading(bucket: s3.IBucket, grantee: iam.IGrantable, *patterns: str) -> None:
    """Read the objects of these key patterns. With listing, so that a missing key is "not found", not "denied"."""
    _allow(grantee, "s3:GetObject", *(bucket.arn_for_objects(pattern) for pattern in patterns))
    _allow(grantee, "s3:ListBucket", bucket.bucket_arn)


def allow_writing(bucket: s3.IBucket, grantee: iam.IGrantable, *patterns: str) -> None:
    """Write objects of these key patterns; nobody may delete or change their tags, locks or access."""
    _allow(grantee, "s3:PutObject", *(bucket.arn_for_objects(pattern) for pattern in patterns))


def _allow(grantee: iam.IGrantable, action: str, *resources: str) -> None:
    iam.Grant.add_to_principal(grantee=grantee, actions=[action], resource_arns=list(resources)).assert_success()
