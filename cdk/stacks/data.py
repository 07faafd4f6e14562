"""What must survive: tables from contracts, buckets, the signing secret and the topic of the alarms.

Decisions: docs/decisions/cdk.md (080).
"""

from __future__ import annotations

from typing import Any

import aws_cdk as core
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct
from recommender.contracts.tables import EXPIRES_AT, TABLES, Table

from cdk.constructs.bucket import PrivateBucket
from cdk.deployment import Deployment, Environment
from cdk.stores import Stores


class DataStack(core.Stack):
    """Stateful resources only, so that every other stack can be deleted and made again."""

    def __init__(self, scope: Construct, construct_id: str, *, deployment: Deployment, **options: Any) -> None:
        super().__init__(scope, construct_id, **options)
        environment = deployment.environment
        access_logs = PrivateBucket(self, "AccessLogs", expire_days=environment.log_retention_days)
        self.stores = Stores(
            tables={table.name: _table(self, table, environment) for table in TABLES},
            artifacts=PrivateBucket(
                self,
                "Artifacts",
                logs=access_logs,
                expire_prefixes={
                    "checkpoints/": environment.checkpoints_kept_days,
                    "training/jobs/": environment.exports_kept_days,  # what jobs hand on: purchase histories among it
                },
            ).bucket,
            events=_passing(self, "Events", access_logs, environment, environment.landed_kept_days),
            exports=_passing(self, "Exports", access_logs, environment, environment.exports_kept_days),
            signing_secret=secretsmanager.Secret(
                self,
                "SigningSecret",
                description="Signs the attribution tokens of recommendations (HMAC-SHA-256)",
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    password_length=64, exclude_punctuation=True
                ),
                removal_policy=_removal(environment),
            ),
            alarm_topic=_alarm_topic(self),
        )
        self._outputs()

    def _outputs(self) -> None:
        """What the pipeline, the warehouse and an operator must know by name."""
        for name, value in {
            "ArtifactsBucket": self.stores.artifacts.bucket_name,
            "EventsBucket": self.stores.events.bucket_name,
            "ExportsBucket": self.stores.exports.bucket_name,
            "ShoppersTable": self.stores.tables["shoppers"].table_name,
            "ExperimentsTable": self.stores.tables["experiments"].table_name,
            "AlarmTopic": self.stores.alarm_topic.topic_arn,
        }.items():
            core.CfnOutput(self, f"{name}Name", value=value)


def _alarm_topic(scope: core.Stack) -> sns.Topic:
    """TLS only; the alarms of this account may publish.

    A topic with a policy of its own has lost the one that SNS gives, so who publishes must be said.
    """
    topic = sns.Topic(scope, "Alarms", enforce_ssl=True)
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AlarmsPublish",
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": scope.account}},
        )
    )
    return topic


def _passing(scope: Construct, name: str, logs: PrivateBucket, environment: Environment, kept_days: int) -> s3.Bucket:
    """A bucket of what the warehouse takes in or hands on: no erasure reaches it, so its lifecycle must."""
    old_versions_days = environment.old_versions_days
    return PrivateBucket(scope, name, logs=logs, expire_days=kept_days, old_versions_days=old_versions_days).bucket


def _table(scope: Construct, definition: Table, environment: Environment) -> dynamodb.TableV2:
    """A table as `contracts.tables` defines it; one item is read and written at a time, so billing is on demand."""
    return dynamodb.TableV2(
        scope,
        "".join(part.title() for part in definition.name.split("_")) + "Table",
        partition_key=_key(definition.partition_key),
        sort_key=_key(definition.sort_key) if definition.sort_key else None,
        billing=dynamodb.Billing.on_demand(),
        encryption=dynamodb.TableEncryptionV2.aws_managed_key(),
        time_to_live_attribute=EXPIRES_AT if definition.expires else None,
        dynamo_stream=dynamodb.StreamViewType.NEW_IMAGE if definition.streams else None,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=definition.recoverable
        ),
        deletion_protection=environment.keeps_data,
        removal_policy=_removal(environment),
    )


def _key(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def _removal(environment: Environment) -> core.RemovalPolicy:
    return core.RemovalPolicy.RETAIN if environment.keeps_data else core.RemovalPolicy.DESTROY
