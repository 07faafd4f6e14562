"""The SageMaker pipeline: built from the job graph, written under its name, and started by that name.

    recommender ops pipeline definition        prints the pipeline; needs neither account nor network
    recommender ops pipeline upsert            uploads the code and makes or updates the pipeline
    recommender ops pipeline start s3://…      starts a run on these exports, prints its ARN; with
                                                       --release canary its bundle is tried out by an experiment first

Settings come from TRAINING_* variables, whose values are outputs of the stacks (docs/deploy.md). The SageMaker
SDK is imported only where a pipeline is built: starting one needs boto3 alone.

Decisions: docs/decisions/cdk.md (082).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from training_jobs.graph import (
    EXPORTS_PARAMETER,
    JOBS,
    RELEASE_PARAMETER,
    RELEASES,
    MissingPipelineSetting,
    PipelineSettings,
    Upload,
    content_key,
    files_in,
    stage_code,
)


def definition(settings: PipelineSettings) -> str:
    """The pipeline as the JSON document that SageMaker stores; uploads nothing."""
    with tempfile.TemporaryDirectory() as folder:
        code = stage_code(Path(folder))
        built = _build(settings, code_key=content_key(code), upload=_upload_nothing)
        return str(built.definition())


def upsert(settings: PipelineSettings, *, s3: Any, sagemaker: Any) -> str:
    """Upload the code, make the pipeline or update it, and return its ARN. The clients are boto3's."""
    upload = _uploader(s3, settings.artifacts_bucket)
    with tempfile.TemporaryDirectory() as folder:
        code = stage_code(Path(folder))
        key = content_key(code)
        upload(code, key)
        built = _build(settings, code_key=key, upload=upload, sagemaker=sagemaker)
        answer = built.upsert(role_arn=settings.role_arn, description=" -> ".join(job.name for job in JOBS))
    return str(answer["PipelineArn"])


def start(exports_uri: str, *, pipeline_name: str, run_id: str, sagemaker: Any, release: str = "") -> str:
    """Start a run on these exports and return its ARN. `sagemaker` is a boto3 client.

    The same `run_id` again starts nothing: SageMaker answers with the run that it started before. `release` is one
    of RELEASES, or empty for the pipeline's own.
    """
    parameters = {EXPORTS_PARAMETER: exports_uri} | ({RELEASE_PARAMETER: release} if release else {})
    token = hashlib.sha256(f"{pipeline_name} {exports_uri} {run_id}".encode()).hexdigest()
    answer = sagemaker.start_pipeline_execution(
        PipelineName=pipeline_name,
        PipelineExecutionDescription=f"run {run_id}"[:3072],
        PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
        ClientRequestToken=token,
    )
    return str(answer["PipelineExecutionArn"])


def status(execution_arn: str, *, sagemaker: Any) -> str:
    """Executing, Stopping, Stopped, Failed or Succeeded."""
    answer = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
    return str(answer["PipelineExecutionStatus"])


def main(arguments: list[str]) -> int:
    """The three commands of the module docstring."""
    parser = argparse.ArgumentParser(prog="recommender ops pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("definition")
    commands.add_parser("upsert")
    starting = commands.add_parser("start")
    starting.add_argument("exports_uri")
    starting.add_argument("--run-id", required=True, help="the same id again starts nothing")
    starting.add_argument("--release", choices=RELEASES, default="", help="instead of the pipeline's own")
    options = parser.parse_args(arguments)
    try:
        settings = PipelineSettings.from_environment(os.environ)
    except MissingPipelineSetting as error:
        print(error, file=sys.stderr)
        return 2
    print(_run(options, settings))
    return 0


def _run(options: argparse.Namespace, settings: PipelineSettings) -> str:
    import boto3

    if options.command == "definition":
        return definition(settings)
    client = boto3.client("sagemaker", region_name=settings.region)
    if options.command == "upsert":
        return upsert(settings, s3=boto3.client("s3", region_name=settings.region), sagemaker=client)
    return start(
        options.exports_uri,
        pipeline_name=settings.pipeline_name,
        run_id=options.run_id,
        sagemaker=client,
        release=options.release,
    )


def _build(settings: PipelineSettings, *, code_key: str, upload: Upload, sagemaker: Any = None) -> Any:
    """The SDK's Pipeline object; without a client the SDK makes one, which a definition never uses."""
    os.environ.setdefault("AWS_DEFAULT_REGION", settings.region)  # the SDK needs one when it is imported
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")  # the check needs iam:SimulatePrincipalPolicy
    from training_jobs.sagemaker_steps import build_pipeline

    return build_pipeline(settings, code_key=code_key, upload=upload, sagemaker=sagemaker)


def _uploader(s3: Any, bucket: str) -> Upload:
    def upload(folder: Path, key: str) -> None:
        for file in files_in(folder):
            name = f"{key}/{file.relative_to(folder).as_posix()}"
            s3.put_object(Bucket=bucket, Key=name, Body=file.read_bytes())

    return upload


def _upload_nothing(folder: Path, key: str) -> None:
    """A definition can be read without anything being there yet."""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
