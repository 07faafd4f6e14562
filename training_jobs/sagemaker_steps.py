"""Builds the steps of a SageMaker pipeline from the job graph: the only module that imports the SageMaker SDK.

Model folders are stored uncompressed, so a later job finds files in its channel, as in the local run, and not a
model.tar.gz. Each run has its own checkpoints: a reclaimed spot instance resumes, a new run starts anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from sagemaker.core import image_uris
from sagemaker.core.shapes import StoppingCondition
from sagemaker.core.training.configs import CheckpointConfig, Compute, InputData, OutputDataConfig, SourceCode
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
from sagemaker.mlops.workflow.steps import TrainingStep
from sagemaker.train import ModelTrainer

from training_jobs.environment import MAX_AGE_DAYS
from training_jobs.graph import (
    EXPORTS_PARAMETER,
    JOBS,
    RELEASE_PARAMETER,
    RELEASES,
    REQUIREMENTS,
    TORCH_IMAGE,
    Channel,
    Instance,
    Job,
    PipelineSettings,
    Upload,
    content_key,
)

WAIT_FOR_SPOT_SECONDS = 2 * 3600
PUBLISHING = ("evaluate", "publish")  # the jobs that meet the champion: they read, and publish writes, the bundles
RETRIES = 3


class ContentAddressedSession(PipelineSession):  # type: ignore[misc]
    """A session that names uploads by their content and calls no AWS API while a pipeline is built."""

    def __init__(self, settings: PipelineSettings, upload: Upload, sagemaker: Any) -> None:
        super().__init__(
            boto_session=boto3.Session(region_name=settings.region),
            sagemaker_client=sagemaker,
            default_bucket=settings.artifacts_bucket,
            sagemaker_config={
                "SchemaVersion": "1.0",
                "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
            },
        )
        self._upload = upload
        self._bucket = settings.artifacts_bucket

    def default_bucket(self) -> str:
        """The artifacts bucket; it exists, the data stack made it."""
        return self._bucket

    def upload_data(self, path: str, *_: Any, **__: Any) -> str:
        """Upload a folder under the hash of its content, wherever the SDK would have put it."""
        key = content_key(Path(path))
        self._upload(Path(path), key)
        return f"s3://{self._bucket}/{key}"


class Trainer(ModelTrainer):  # type: ignore[misc]
    """A trainer that stages into the artifacts bucket without a check of its role's rights by IAM."""

    def _resolve_staging_bucket(self) -> tuple[str, str | None]:
        return self.sagemaker_session.default_bucket(), None

    def _create_training_job_args(self, *arguments: Any, **options: Any) -> Any:
        """As the SDK does, without leaving the folder of its start scripts behind: they are uploaded by then."""
        request = super()._create_training_job_args(*arguments, **options)
        self._temp_code_dir.cleanup()
        return request


def build_pipeline(settings: PipelineSettings, *, code_key: str, upload: Upload, sagemaker: Any = None) -> Any:
    """The pipeline of all jobs; `code_key` is where the staged code lies in the artifacts bucket."""
    session = ContentAddressedSession(settings, upload, sagemaker)
    exports = ParameterString(name=EXPORTS_PARAMETER, default_value=settings.exports_uri)
    release = ParameterString(name=RELEASE_PARAMETER, default_value=settings.release, enum_values=list(RELEASES))
    steps: dict[str, Any] = {}
    for job in JOBS:
        of_run = {"release": release} if job.name == "publish" else {}
        trainer = _trainer(job, settings, session, code_key, of_run)
        inputs = [_input(channel, exports, steps) for channel in job.channels]
        steps[job.name] = TrainingStep(
            name=job.name,
            step_args=trainer.train(input_data_config=inputs),
            retry_policies=[_retry_policy()],
        )
    return Pipeline(
        name=settings.pipeline_name,
        parameters=[exports, release],
        steps=list(steps.values()),
        sagemaker_session=session,
    )


def _trainer(
    job: Job, settings: PipelineSettings, session: ContentAddressedSession, code_key: str, of_run: Mapping[str, Any]
) -> Trainer:
    """The trainer of a job; `of_run` are hyperparameters that each run decides."""
    bucket = f"s3://{settings.artifacts_bucket}"
    run = ExecutionVariables.PIPELINE_EXECUTION_ID
    return Trainer(
        sagemaker_session=session,
        role=settings.role_arn,
        base_job_name=job.name.replace("_", "-"),
        training_image=_image(job.instance, settings.region),
        source_code=SourceCode(
            source_dir=f"{bucket}/{code_key}/",
            requirements=REQUIREMENTS,
            command=f"python -m {job.module}",
        ),
        compute=Compute(
            instance_type=job.instance.kind,
            instance_count=job.instance.count,
            volume_size_in_gb=job.instance.disk_gb,
            enable_managed_spot_training=job.instance.is_spot,
        ),
        stopping_condition=_stopping_condition(job.instance),
        output_data_config=OutputDataConfig(s3_output_path=f"{bucket}/training/jobs", compression_type="NONE"),
        checkpoint_config=CheckpointConfig(
            s3_uri=Join(on="/", values=[f"{bucket}/checkpoints", run, job.name]), local_path="/opt/ml/checkpoints"
        ),
        hyperparameters={**job.hyperparameters, **of_run},
        environment=_environment(job, settings),
    )


def _input(channel: Channel, exports: Any, steps: Mapping[str, Any]) -> Any:
    """A channel: the exports of this run, or the model folder of an earlier step, which makes it wait."""
    if channel.job is None:
        return InputData(channel_name=channel.name, data_source=exports)
    source = steps[channel.job].properties.ModelArtifacts.S3ModelArtifacts
    return InputData(channel_name=channel.name, data_source=source)


def _environment(job: Job, settings: PipelineSettings) -> dict[str, str]:
    names = {"HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "AWS_DEFAULT_REGION": settings.region}
    if settings.max_age_days != "any":
        names[MAX_AGE_DAYS] = settings.max_age_days
    if job.name in PUBLISHING:
        names["RECOMMENDER_ARTIFACTS_BUCKET"] = settings.artifacts_bucket
    if job.name == "publish":
        names["RECOMMENDER_SHOPPERS_TABLE"] = settings.shoppers_table
    return names


def _stopping_condition(instance: Instance) -> Any:
    """Spot jobs may also wait for capacity; the limit on waiting counts the running time, too."""
    longest = instance.timeout_seconds + WAIT_FOR_SPOT_SECONDS
    return StoppingCondition(
        max_runtime_in_seconds=instance.timeout_seconds,
        **({"max_wait_time_in_seconds": longest} if instance.is_spot else {}),
    )


def _image(instance: Instance, region: str) -> str:
    """AWS's own PyTorch training image, for CPU or GPU as the instance has."""
    return str(
        image_uris.retrieve(
            framework="pytorch", region=region, instance_type=instance.kind, image_scope="training", **TORCH_IMAGE
        )
    )


def _retry_policy() -> Any:
    """Retry on lack of capacity and faults of the service, never on an error of the job."""
    return SageMakerJobStepRetryPolicy(
        exception_types=[
            SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
            SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
            SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT,
        ],
        interval_seconds=300,
        max_attempts=RETRIES,
    )
