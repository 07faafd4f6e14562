"""The schedule starts the training pipeline on a fixed address; its jobs must find the night's exports there."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from recommender.contracts.exports import MANIFEST
from recommender.errors import ArtifactRefused

from tests.infrastructure.conftest import synthesise
from tests.training.test_pipeline import SETTINGS
from tests.warehouse.shop import deliver, deliver_items, order_line
from training_jobs.environment import METRICS, JobEnvironment
from training_jobs.exports import DATA_HASH, Exports, exports_of
from training_jobs.graph import CONTENT, EXPORTS_CHANNEL, EXPORTS_PARAMETER, JOBS
from training_jobs.pipeline import definition
from warehouse.connect import Warehouse
from warehouse.day.day import run_day
from warehouse.day.schedule import write_exports

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK warns in many ways
BUCKET, PREFIX = "shop-exports", "exports"
NIGHTS = ("2026-01-03", "2026-01-04")
FIRST_JOB, *LATER_JOBS = JOBS


@pytest.fixture
def s3(aws_environment: dict[str, str]) -> Iterator[Any]:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield client


def night(warehouse: Warehouse, day: str, target: str, s3: Any) -> None:
    """An order of the day before is taken in, and the exporter writes the day's exports."""
    deliver_items(warehouse, "tea", "jam", loaded_at=f"{day}T01:00:00")
    bought = str(date.fromordinal(date.fromisoformat(day).toordinal() - 1))
    lines = [order_line(f"o{day}", "tea", f"{bought}T08:00:00"), order_line(f"o{day}", "jam", f"{bought}T09:00:00")]
    deliver(warehouse, "purchases", lines, loaded_at=f"{day}T02:00:00")
    run_day(warehouse.connection, date.fromisoformat(day))
    write_exports(warehouse, target, now=datetime.fromisoformat(f"{day}T04:00"), s3=s3)


@pytest.fixture
def nights(warehouse: Warehouse, s3: Any) -> None:
    """Two whole days as the exporter lays them out, and a third that it has not finished; beside them a page."""
    for day in NIGHTS:
        night(warehouse, day, f"s3://{BUCKET}/{PREFIX}/{day}", s3)
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/2026-01-05/purchases/v1/2026-01-0.parquet", Body=b"half of it")
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/quality/2026-01-04.html", Body=b"<p>fine</p>")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the schedules of the training stack start, as synthesised."""
    synthesis = synthesise(tmp_path_factory.mktemp("schedule"))
    schedules = synthesis.resources("AWS::Scheduler::Schedule", "training").values()
    return [schedule["Target"] for schedule in schedules if schedule["State"] == "ENABLED"]


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    """The pipeline as docs/deploy.md makes it: TRAINING_EXPORTS_URI is the prefix above the days."""
    document: dict[str, Any] = json.loads(definition(replace(SETTINGS, exports_uri=f"s3://{BUCKET}/{PREFIX}")))
    return document


def started(target: dict[str, Any], pipeline: dict[str, Any]) -> str:
    """The address of the exports in a run that this target starts."""
    given = target.get("SageMakerPipelineParameters", {}).get("PipelineParameterList", [])
    defaults = {entry["Name"]: entry["DefaultValue"] for entry in pipeline["Parameters"] if "DefaultValue" in entry}
    return str({**defaults, **{entry["Name"]: entry["Value"] for entry in given}}[EXPORTS_PARAMETER])


def container(name: str, uri: str, pipeline: dict[str, Any], s3: Any, folder: Path, *, today: str) -> JobEnvironment:
    """What SageMaker hands a job: a folder of the objects whose keys begin with the address, the step's variables."""
    place, channel = urlsplit(uri), folder / name / "exports"
    channel.mkdir(parents=True)
    prefix = place.path.strip("/")
    for entry in s3.list_objects_v2(Bucket=place.netloc, Prefix=prefix).get("Contents", []):
        path = channel / entry["Key"].removeprefix(prefix).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(place.netloc, entry["Key"], str(path))
    (step,) = (step for step in pipeline["Steps"] if step["Name"] == name)
    folders = {f"SM_{kind}_DIR": str(folder / name / kind) for kind in ("MODEL", "OUTPUT_DATA", "CHECKPOINT")}
    channels = {f"SM_CHANNEL_{EXPORTS_CHANNEL.upper()}": str(channel)}
    if (folder / FIRST_JOB.name / "MODEL").is_dir():
        channels[f"SM_CHANNEL_{CONTENT.name.upper()}"] = str(folder / FIRST_JOB.name / "MODEL")
    variables = {**step["Arguments"]["Environment"], **folders, **channels}
    return JobEnvironment.from_environment(variables, today=date.fromisoformat(today))


def days_of(exports: Exports) -> set[str]:
    return {f"{moment:%Y-%m-%d}" for moment in exports.purchases["purchased_at"]}


def test_the_scheduled_training_reads_the_newest_day_that_has_a_manifest(
    targets: list[dict[str, Any]], pipeline: dict[str, Any], nights: None, s3: Any, tmp_path: Path
) -> None:
    assert len(targets) == 2  # daily and weekly
    for number, target in enumerate(targets):
        assert target["Arn"]["Fn::Join"][1][-1] == ":pipeline/recommender-dev-training"
        uri = started(target, pipeline)
        job = container(FIRST_JOB.name, uri, pipeline, s3, tmp_path / str(number), today="2026-01-05")
        assert days_of(exports_of(job)) == {"2026-01-02", "2026-01-03"}  # those of the night of the 4th


def test_a_run_that_airflow_starts_on_a_day_reads_that_day(
    pipeline: dict[str, Any], nights: None, s3: Any, tmp_path: Path
) -> None:
    uri = f"s3://{BUCKET}/{PREFIX}/{NIGHTS[0]}"
    job = container(FIRST_JOB.name, uri, pipeline, s3, tmp_path, today="2026-01-05")
    assert days_of(exports_of(job)) == {"2026-01-02"}


def test_later_jobs_of_a_run_read_what_its_first_job_read_although_a_night_has_passed(
    pipeline: dict[str, Any], nights: None, warehouse: Warehouse, s3: Any, tmp_path: Path
) -> None:
    uri = f"s3://{BUCKET}/{PREFIX}"
    first = container(FIRST_JOB.name, uri, pipeline, s3, tmp_path, today="2026-01-05")
    read = exports_of(first)
    first.write_metrics({DATA_HASH: read.data_hash})  # as it does
    night(warehouse, "2026-01-05", f"{uri}/2026-01-05", s3)

    for later in LATER_JOBS:
        job = container(later.name, uri, pipeline, s3, tmp_path, today="2026-01-05")
        assert exports_of(job).data_hash == read.data_hash
    next_run = container("publish", uri, pipeline, s3, tmp_path / "next run", today="2026-01-05")
    assert days_of(exports_of(next_run)) - days_of(read) == {"2026-01-04"}


def test_a_run_whose_first_exports_are_gone_is_refused(
    pipeline: dict[str, Any], nights: None, s3: Any, tmp_path: Path
) -> None:
    first = tmp_path / FIRST_JOB.name / "MODEL"
    first.mkdir(parents=True)
    (first / METRICS).write_text(json.dumps({DATA_HASH: "ab" * 32}))
    job = container("publish", f"s3://{BUCKET}/{PREFIX}", pipeline, s3, tmp_path, today="2026-01-05")
    with pytest.raises(ArtifactRefused, match=r"began on exports of hash abab\w+, .* has 2026-01-04, 2026-01-03"):
        exports_of(job)


def test_a_prefix_without_any_manifest_is_refused_in_one_sentence(
    pipeline: dict[str, Any], s3: Any, tmp_path: Path
) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/2026-01-05/purchases/v1/2026-01-0.parquet", Body=b"half of it")
    job = container(FIRST_JOB.name, f"s3://{BUCKET}/{PREFIX}", pipeline, s3, tmp_path, today="2026-01-05")
    with pytest.raises(ArtifactRefused) as refused:
        exports_of(job)
    assert str(refused.value).count(MANIFEST) == 1
    assert "nor in a day below" in str(refused.value)


def test_the_newest_day_is_refused_where_it_is_too_old(
    pipeline: dict[str, Any], nights: None, s3: Any, tmp_path: Path
) -> None:
    job = container(FIRST_JOB.name, f"s3://{BUCKET}/{PREFIX}", pipeline, s3, tmp_path, today="2026-02-01")
    with pytest.raises(ArtifactRefused, match="at most 3 days before 2026-02-01"):
        exports_of(job)


def test_every_job_reads_the_exports_of_its_run() -> None:
    for job in JOBS:
        assert vars(importlib.import_module(job.module))["exports_of"] is exports_of
