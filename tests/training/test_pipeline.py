"""The SageMaker pipeline is the job graph, and its code runs from the staged folder alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from training_jobs.graph import (
    EXPORTS_CHANNEL,
    JOBS,
    MissingPipelineSetting,
    PipelineSettings,
    content_key,
    job,
    stage_code,
)
from training_jobs.pipeline import definition, start, upsert

ROOT = Path(__file__).parents[2]
SETTINGS = PipelineSettings(
    pipeline_name="recommender-dev-training",
    role_arn="arn:aws:iam::111122223333:role/jobs",
    artifacts_bucket="artifacts",
    exports_uri="s3://exports/exports",
    shoppers_table="shoppers",
    region="eu-central-1",
)
OWN_CHANNELS = {"code", "sm_drivers"}  # the SDK's

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK and its dependencies warn in many ways


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    """The definition, made without credentials, network or configuration of the machine."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    try:
        document: dict[str, Any] = json.loads(definition(SETTINGS))
    finally:
        os.environ.update(hidden)
    return document


@pytest.fixture(scope="module")
def steps(built: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["Name"]: step["Arguments"] for step in built["Steps"]}


def channels(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in arguments["InputDataConfig"]
        if channel["ChannelName"] not in OWN_CHANNELS
    }


def test_jobs_are_listed_after_what_they_read() -> None:
    done: set[str] = set()
    for entry in JOBS:
        assert set(entry.upstream) <= done
        done.add(entry.name)


def test_the_steps_are_the_jobs_in_their_order(built: dict[str, Any]) -> None:
    assert [step["Name"] for step in built["Steps"]] == [entry.name for entry in JOBS]


def test_each_channel_is_the_exports_or_the_model_folder_of_its_job(steps: dict[str, dict[str, Any]]) -> None:
    for entry in JOBS:
        expected = {
            channel.name: {"Get": "Parameters.ExportsUri"}
            if channel.name == EXPORTS_CHANNEL
            else {"Get": f"Steps.{channel.job}.ModelArtifacts.S3ModelArtifacts"}
            for channel in entry.channels
        }
        assert channels(steps[entry.name]) == expected


def test_model_folders_stay_uncompressed_so_that_channels_hold_files(steps: dict[str, dict[str, Any]]) -> None:
    assert {arguments["OutputDataConfig"]["CompressionType"] for arguments in steps.values()} == {"NONE"}


def test_hyperparameters_are_those_of_the_graph_as_json(steps: dict[str, dict[str, Any]]) -> None:
    for entry in JOBS:
        told = {**steps[entry.name]["HyperParameters"]}
        told.pop("release", None)
        assert {name: json.loads(value) for name, value in told.items()} == dict(entry.hyperparameters)


def test_a_run_is_told_whether_its_bundle_goes_in_force_or_is_a_canary(
    built: dict[str, Any], steps: dict[str, dict[str, Any]]
) -> None:
    asked = {name: arguments["HyperParameters"].get("release") for name, arguments in steps.items()}

    assert asked == {**dict.fromkeys(steps), "publish": {"Get": "Parameters.Release"}}
    release = next(parameter for parameter in built["Parameters"] if parameter["Name"] == "Release")
    assert (release["DefaultValue"], release["EnumValues"]) == ("current", ["current", "canary"])


def test_an_unknown_release_is_refused_before_the_pipeline_is_built() -> None:
    with pytest.raises(MissingPipelineSetting, match="TRAINING_RELEASE is 'blue', expected one of current, canary"):
        replace(SETTINGS, release="blue")


def test_every_job_refuses_data_older_than_three_days(steps: dict[str, dict[str, Any]]) -> None:
    assert {steps[entry.name]["Environment"]["TRAINING_MAX_AGE_DAYS"] for entry in JOBS} == {"3"}
    with pytest.raises(MissingPipelineSetting, match="TRAINING_MAX_AGE_DAYS is 'soon', expected days or any"):
        replace(SETTINGS, max_age_days="soon")


def test_spot_jobs_resume_from_checkpoints_of_their_own_run(steps: dict[str, dict[str, Any]]) -> None:
    for entry in JOBS:
        arguments = steps[entry.name]
        assert arguments["EnableManagedSpotTraining"] is entry.instance.is_spot
        values = arguments["CheckpointConfig"]["S3Uri"]["Std:Join"]["Values"]
        assert values == ["s3://artifacts/checkpoints", {"Get": "Execution.PipelineExecutionId"}, entry.name]
        if entry.instance.is_spot:
            limits = arguments["StoppingCondition"]
            assert limits["MaxWaitTimeInSeconds"] > limits["MaxRuntimeInSeconds"]


def test_publishing_knows_the_stores_and_training_does_not(steps: dict[str, dict[str, Any]]) -> None:
    assert steps["publish"]["Environment"]["RECOMMENDER_ARTIFACTS_BUCKET"] == "artifacts"
    assert steps["publish"]["Environment"]["RECOMMENDER_SHOPPERS_TABLE"] == "shoppers"
    assert not [name for name in steps["two_tower"]["Environment"] if name.startswith("RECOMMENDER_")]


def test_images_fit_their_instances(steps: dict[str, dict[str, Any]]) -> None:
    for entry in JOBS:
        image = steps[entry.name]["AlgorithmSpecification"]["TrainingImage"]
        assert ("-gpu-" in image) is entry.instance.kind.startswith("ml.g")
        assert ".eu-central-1.amazonaws.com" in image


def test_unchanged_code_leaves_the_definition_unchanged(built: dict[str, Any]) -> None:
    assert json.loads(definition(SETTINGS)) == built


def test_upsert_uploads_the_code_that_the_definition_names() -> None:
    s3, sagemaker = RecordingS3(), RecordingSageMaker()

    arn = upsert(SETTINGS, s3=s3, sagemaker=sagemaker)

    assert arn == "arn:aws:sagemaker:eu-central-1:111122223333:pipeline/recommender-dev-training"
    (code,) = set(re.findall(r"s3://artifacts/(training/code/\w+)/", sagemaker.created["PipelineDefinition"]))
    assert f"{code}/training_jobs/graph.py" in s3.keys
    assert f"{code}/recommender/contracts/exports.py" in s3.keys
    assert not [key for key in s3.keys if "__pycache__" in key]


def test_starting_twice_for_one_run_asks_for_the_same_execution() -> None:
    client = RecordingSageMaker()
    for run_id in ("2026-11-23", "2026-11-23", "2026-11-24"):
        start("s3://exports/x", pipeline_name="p", run_id=run_id, sagemaker=client)

    first, again, next_day = (request["ClientRequestToken"] for request in client.started)
    assert first == again != next_day
    assert 32 <= len(first) <= 128
    assert client.started[0]["PipelineParameters"] == [{"Name": "ExportsUri", "Value": "s3://exports/x"}]


def test_one_run_may_publish_a_canary() -> None:
    client = RecordingSageMaker()

    start("s3://exports/x", pipeline_name="p", run_id="1", sagemaker=client, release="canary")

    assert client.started[0]["PipelineParameters"][1] == {"Name": "Release", "Value": "canary"}


def test_the_staged_folder_runs_without_the_repository(tmp_path: Path) -> None:
    staged = stage_code(tmp_path / "code")
    found = subprocess.run(
        [sys.executable, "-c", "import training_jobs.graph as g, recommender as r; print(g.__file__, r.__file__)"],
        cwd=staged,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert all(Path(file).is_relative_to(staged) for file in found)
    assert {path.name for path in staged.iterdir()} == {"training_jobs", "recommender"}


def test_the_key_of_the_code_follows_its_content_and_ignores_byte_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    before = content_key(tmp_path)
    (tmp_path / "a.pyc").write_bytes(b"code")
    assert content_key(tmp_path) == before
    (tmp_path / "a.py").write_text("2")
    assert content_key(tmp_path) != before


def test_the_requirements_of_the_jobs_have_the_versions_of_the_local_run() -> None:
    local = pins(ROOT / "requirements.txt") | pins(ROOT / "local" / "requirements.txt")
    local |= pins(ROOT / "local" / "requirements-nodeps.txt")
    jobs = pins(ROOT / "training_jobs" / "requirements.txt")
    assert jobs == {name: local[name] for name in jobs}


def test_the_release_and_the_age_of_the_data_are_the_only_settings_that_may_be_left_out() -> None:
    optional = ("release", "max_age_days")
    variables = {f"TRAINING_{name.upper()}": value for name, value in asdict(SETTINGS).items() if name not in optional}

    assert PipelineSettings.from_environment(variables) == SETTINGS
    assert PipelineSettings.from_environment({**variables, "TRAINING_RELEASE": "canary"}).release == "canary"


def test_missing_settings_are_named_together() -> None:
    with pytest.raises(MissingPipelineSetting, match="TRAINING_PIPELINE_NAME, TRAINING_ROLE_ARN"):
        PipelineSettings.from_environment({"TRAINING_REGION": "eu-central-1"})


def test_a_job_is_found_by_name() -> None:
    assert job("publish").module == "training_jobs.publish.train"
    with pytest.raises(KeyError):
        job("deploy")


class RecordingS3:
    """Keeps the keys that were written."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - boto3's names
        assert Bucket == "artifacts"
        assert isinstance(Body, bytes)
        self.keys.add(Key)


class RecordingSageMaker:
    """Keeps what was asked of it."""

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}
        self.started: list[dict[str, Any]] = []

    def create_pipeline(self, **request: Any) -> dict[str, str]:
        self.created = request
        return {"PipelineArn": f"arn:aws:sagemaker:eu-central-1:111122223333:pipeline/{request['PipelineName']}"}

    def start_pipeline_execution(self, **request: Any) -> dict[str, str]:
        self.started.append(request)
        return {"PipelineExecutionArn": f"arn:{len(self.started)}"}


def pins(path: Path) -> dict[str, str]:
    """Name -> version of the pinned lines."""
    found = re.findall(r"^([\w.-]+)(?:\[\w+\])?==([\w.]+)", path.read_text(), flags=re.MULTILINE)
    return dict(found)
