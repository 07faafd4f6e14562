"""When new exports are there: start the SageMaker pipeline on them and wait, without a worker, until it is done.

A run starts one training however often its task is tried: SageMaker knows it by its token, which the provider's
own start operator does not send. The sensor gives its worker back between two looks. A run that is triggered by
hand trains again on the newest exports.
Settings: `recommender_settings`.

Decisions: docs/decisions/schedule.md (166, 180).
"""

from __future__ import annotations

import os
from datetime import timedelta

import recommender_settings as settings
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor
from airflow.sdk import dag, task


class PipelineSensor(SageMakerPipelineSensor):
    """The provider's, which takes a pipeline that somebody stopped for one that is done."""

    def failed_states(self) -> set[str]:
        """States that fail the task."""
        return {*super().failed_states(), "Stopped"}


@dag(
    schedule=[settings.EXPORTS],
    start_date=settings.START,
    catchup=False,
    max_active_runs=1,
    default_args={**settings.DEFAULTS, "pool": settings.TRAINING},
    tags=["recommender", "training"],
    doc_md=__doc__,
    **settings.in_time(timedelta(hours=12), timedelta(hours=24)),
)
def train_models() -> None:
    """start -> wait."""

    @task.skip_if(lambda context: not os.environ.get("TRAINING_PIPELINE_NAME"))
    @task(inlets=[settings.EXPORTS])
    def start() -> str:
        from training_jobs.pipeline import start

        newest = settings.newest_exports()
        name, sagemaker = os.environ["TRAINING_PIPELINE_NAME"], settings.client("sagemaker")
        return start(newest["uri"], pipeline_name=name, run_id=settings.holder(), sagemaker=sagemaker)

    PipelineSensor(
        task_id="wait",
        pipeline_exec_arn=start(),
        poke_interval=settings.POKE_SECONDS,
        timeout=timedelta(hours=8).total_seconds(),
        execution_timeout=timedelta(hours=8),
        mode="reschedule",
    )


train_models()
