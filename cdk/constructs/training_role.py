"""The role of the pipeline and its jobs: read exports, write artifacts, publish, and nothing else."""

from __future__ import annotations

import aws_cdk as core
from aws_cdk import aws_iam as iam
from constructs import Construct
from recommender.contracts.artifacts import CURRENT_COPY, POINTERS, STANDBY
from recommender.contracts.tables import SHOPPERS

from cdk.image_accounts import image_account
from cdk.stores import WRITE_ACTIONS, Stores, allow_reading, allow_writing, read_actions

JOB_ACTIONS = (
    "sagemaker:CreateTrainingJob",
    "sagemaker:DescribeTrainingJob",
    "sagemaker:StopTrainingJob",
    "sagemaker:AddTags",
)
BATCH_WRITE = "dynamodb:BatchWriteItem"
ARTIFACT_PREFIXES = ("bundles/*", "checkpoints/*", "training/*", *POINTERS, CURRENT_COPY, STANDBY)


class TrainingRole(Construct):
    """Assumed by SageMaker; passes itself on from the pipeline to the jobs."""

    def __init__(self, scope: Construct, construct_id: str, *, stores: Stores) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
        allow_reading(stores.exports, self.role, "*")
        allow_reading(stores.artifacts, self.role, *ARTIFACT_PREFIXES)
        allow_writing(stores.artifacts, self.role, *ARTIFACT_PREFIXES)
        stores.tables[SHOPPERS.name].grant(self.role, *read_actions(SHOPPERS.name), *WRITE_ACTIONS, BATCH_WRITE)
        self._allow_jobs()
        self._allow_images_and_logs()

    def _allow_jobs(self) -> None:
        stack = core.Stack.of(self)
        jobs = stack.format_arn(service="sagemaker", resource="training-job", resource_name="*")
        self.role.add_to_policy(iam.PolicyStatement(actions=list(JOB_ACTIONS), resources=[jobs]))
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self.role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            )
        )

    def _allow_images_and_logs(self) -> None:
        stack = core.Stack.of(self)
        images = stack.format_arn(service="ecr", account=image_account(self), resource="repository", resource_name="*")
        logs = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name="/aws/sagemaker/TrainingJobs*",
            arn_format=core.ArnFormat.COLON_RESOURCE_NAME,
        )
        for actions, resource, conditions in (
            (["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], images, {}),
            (["ecr:GetAuthorizationToken"], "*", {}),  # the action knows no resource
            (["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], logs, {}),
            (
                ["cloudwatch:PutMetricData"],
                "*",  # the action knows no resource; the namespace bounds it
                {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/TrainingJobs"}},
            ),
        ):
            self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource], conditions=conditions))
