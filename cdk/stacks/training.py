"""Training: the role of the SageMaker jobs, the schedules that start the pipeline by name, and freshness alarms.

The pipeline itself is made by `recommender ops pipeline upsert`, from the same graph that the local
run uses; a stack would be a second declaration of it.
"""

from __future__ import annotations

from typing import Any

import aws_cdk as core
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from cdk.constructs.alarms import event_alarm, period, silence_alarm
from cdk.constructs.training_role import TrainingRole
from cdk.deployment import Deployment
from cdk.stores import Stores


class TrainingStack(core.Stack):
    """The training schedule, and its alerts."""

    def __init__(
        self, scope: Construct, construct_id: str, *, deployment: Deployment, stores: Stores, **options: Any
    ) -> None:
        super().__init__(scope, construct_id, **options)
        self.pipeline_name = f"{deployment.prefix}-training"
        self.role = TrainingRole(self, "Jobs", stores=stores).role
        self._schedule(deployment)
        self._watch(deployment, stores)
        core.CfnOutput(self, "TrainingRoleArn", value=self.role.role_arn)
        core.CfnOutput(self, "TrainingPipelineName", value=self.pipeline_name)

    @property
    def pipeline_arn(self) -> str:
        """The pipeline, known by its name before it exists."""
        return self.format_arn(service="sagemaker", resource="pipeline", resource_name=self.pipeline_name)

    def _schedule(self, deployment: Deployment) -> None:
        starter = iam.Role(self, "Starter", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
        starter.add_to_policy(
            iam.PolicyStatement(actions=["sagemaker:StartPipelineExecution"], resources=[self.pipeline_arn])
        )
        environment = deployment.environment
        for mode, expression in (("daily", environment.training_daily), ("weekly", environment.training_weekly)):
            scheduler.CfnSchedule(
                self,
                mode.title(),
                description=f"Starts {self.pipeline_name}, {mode}",
                schedule_expression=expression,
                state="ENABLED" if deployment.training_starter == "schedule" else "DISABLED",
                flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
                    mode="FLEXIBLE", maximum_window_in_minutes=15
                ),
                target=scheduler.CfnSchedule.TargetProperty(
                    arn=self.pipeline_arn,
                    role_arn=starter.role_arn,
                    retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                        maximum_retry_attempts=3, maximum_event_age_in_seconds=3600
                    ),
                ),
            )

    def _watch(self, deployment: Deployment, stores: Stores) -> None:
        """Alert on a failed run at once, and on the absence of a good one: a stale bundle serves without errors."""
        stale_days = deployment.environment.alarms.training_stale_days
        failed = self._executions("ExecutionFailed", period())
        event_alarm(self, "PipelineFailed", failed, stores=stores)
        succeeded = self._executions("ExecutionSucceeded", core.Duration.days(1))
        silence_alarm(self, "Stale", succeeded, periods=stale_days, stores=stores)

    def _executions(self, name: str, every: core.Duration) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/Sagemaker/ModelBuildingPipeline",
            metric_name=name,
            dimensions_map={"PipelineName": self.pipeline_name},
            statistic="Sum",
            period=every,
        )
