"""The publish job from its channels to a bundle in force, and back out when the gate says no."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from recommender.adapters.bundle import load_bundle
from recommender.adapters.bundle_files import current_bundle_id, read_manifest
from recommender.adapters.dynamodb.client import connect, create_tables
from recommender.adapters.dynamodb.state import DynamoShoppers
from recommender.adapters.folder import FolderArtifacts
from recommender.adapters.s3 import S3Artifacts
from recommender.contracts import artifacts as names
from recommender.contracts.settings import MissingSetting
from recommender.errors import Conflict, InvalidInput
from recommender.pointers import pointed

from tests.adapters.bundle_files import write_bundle_files
from tests.training.small_exports import written_exports
from training_jobs.environment import JobEnvironment, read_metrics
from training_jobs.publish.train import UNKNOWN, artifact_store, code_hash, git_commit, main

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
CONTENT = (names.CONTENT_VECTORS, names.QUERY_ENCODER, names.TOKENIZER, names.LEXICAL, names.ITEM_IDS)
TWO_TOWER = (names.USER_TOWER, names.ITEM_VECTORS, names.RETRIEVAL, names.PREFERENCE)
SHOPPER = {"shopper_id": "s-1", "history": {"item_ids": ["app-s"], "orders": [1], "last_on": [1.0], "first_on": [1.0]}}


@pytest.fixture
def job(tmp_path: Path) -> JobEnvironment:
    """Channels as the jobs before would leave them."""
    written_exports(tmp_path / "exports")
    paths = write_bundle_files(tmp_path / "session_ranker")
    for channel, moved in (("content", CONTENT), ("two_tower", TWO_TOWER)):
        (tmp_path / channel).mkdir()
        for name in moved:
            paths[name].rename(tmp_path / channel / name)
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "session_ranker" / "shoppers.jsonl").write_text(json.dumps(SHOPPER) + "\n")
    for channel in ("content", "two_tower", "session_ranker"):
        (tmp_path / channel / "metrics.json").write_text('{"seconds": 1}')
    write_evaluation(tmp_path, hybrid=0.4)
    channels = ("exports", "content", "two_tower", "session_ranker", "evaluate")
    return JobEnvironment.from_environment(
        {
            "SM_MODEL_DIR": str(tmp_path / "publish"),
            "SM_OUTPUT_DATA_DIR": str(tmp_path / "output"),
            "SM_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
            **{f"SM_CHANNEL_{name.upper()}": str(tmp_path / name) for name in channels},
        }
    )


def write_evaluation(root: Path, *, hybrid: float) -> None:
    figures = {"hybrid": hybrid, "popular": 0.1, "cohorts": 0.15}
    body: dict[str, Any] = {"methods": {name: {"all": {"recall@20": value}} for name, value in figures.items()}}
    (root / "evaluate" / "metrics.json").write_text(json.dumps(body))


def test_a_bundle_is_published_with_its_origin_and_its_gate(job: JobEnvironment, tmp_path: Path) -> None:
    bundle_id = main(job, {"RECOMMENDER_ARTIFACTS_FOLDER": str(tmp_path / "kept")}, now=NOW)

    store = FolderArtifacts(tmp_path / "kept")
    manifest = read_manifest(store, current_bundle_id(store))
    assert manifest.bundle_id == bundle_id
    assert bundle_id.startswith("20261123T040000Z-")
    assert (manifest.data_from, manifest.data_until) == ("2026-10-01T00:00:00Z", "2026-10-29T00:00:00Z")
    assert manifest.gate["passed"]
    assert manifest.metrics["evaluate"]["methods"]["hybrid"]["all"]["recall@20"] == 0.4
    assert manifest.settings == {"derived_data": True}
    assert load_bundle(store, bundle_id, tmp_path / "cache").bundle_id == bundle_id
    assert read_metrics(job.model_dir)["bundle_id"] == bundle_id


def test_running_the_job_again_keeps_the_bundle(job: JobEnvironment, tmp_path: Path) -> None:
    variables = {"RECOMMENDER_ARTIFACTS_FOLDER": str(tmp_path / "kept")}
    first = main(job, variables, now=NOW)

    assert main(job, variables, now=datetime(2026, 11, 24, tzinfo=UTC)) == first
    assert len(list((tmp_path / "kept" / "bundles").iterdir())) == 1


def test_a_failed_gate_leaves_the_champion_in_force(job: JobEnvironment, tmp_path: Path) -> None:
    variables = {"RECOMMENDER_ARTIFACTS_FOLDER": str(tmp_path / "kept")}
    champion = main(job, variables, now=NOW)
    write_evaluation(tmp_path, hybrid=0.2)  # the champion has 0.4

    with pytest.raises(Conflict) as refused:
        main(job, variables, now=NOW)

    assert refused.value.code == "gate_failed"
    assert current_bundle_id(FolderArtifacts(tmp_path / "kept")) == champion
    assert read_metrics(job.model_dir)["gate"]["passed"] is False


def test_a_release_as_canary_leaves_the_champion_in_force(job: JobEnvironment, tmp_path: Path) -> None:
    variables = {"RECOMMENDER_ARTIFACTS_FOLDER": str(tmp_path / "kept")}
    champion = main(job, variables, now=NOW)
    (tmp_path / "session_ranker" / names.FALLBACK).write_text(json.dumps({"home_hero": ["item-02-02"]}))

    canary = main(
        replace(job, hyperparameters={"release": "canary"}), variables, now=datetime(2026, 11, 24, tzinfo=UTC)
    )

    store = FolderArtifacts(tmp_path / "kept")
    assert (pointed(store, names.CURRENT), pointed(store, names.CANDIDATE)) == (champion, canary)
    metrics = read_metrics(job.model_dir)
    assert (metrics["bundle_id"], metrics["in_force"]) == (canary, champion)


def test_an_unknown_release_is_refused_before_anything_is_read(job: JobEnvironment, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="/SM_HPS/release is 'blue', expected one of current, canary"):
        main(replace(job, hyperparameters={"release": "blue"}), {}, now=NOW)


def test_on_aws_the_bundle_goes_to_s3_and_shoppers_into_their_table(
    job: JobEnvironment, aws_environment: dict[str, str]
) -> None:
    boto3.client("s3").create_bucket(
        Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": aws_environment["AWS_REGION"]}
    )
    create_tables(boto3.client("dynamodb"))

    bundle_id = main(
        job, {"RECOMMENDER_ARTIFACTS_BUCKET": "artifacts", "RECOMMENDER_SHOPPERS_TABLE": "shoppers"}, now=NOW
    )

    assert current_bundle_id(S3Artifacts.connect("artifacts")) == bundle_id
    shopper = DynamoShoppers(connect(), "shoppers").load("s-1")
    assert shopper is not None
    assert shopper.history.item_ids == ("app-s",)
    assert read_metrics(job.model_dir)["shoppers_written"] == 1


def test_without_a_destination_the_job_says_what_to_set() -> None:
    with pytest.raises(MissingSetting, match="RECOMMENDER_ARTIFACTS_BUCKET or RECOMMENDER_ARTIFACTS_FOLDER"):
        artifact_store({})


def test_code_has_a_hash_and_a_folder_outside_a_repository_no_commit(tmp_path: Path) -> None:
    assert len(code_hash()) == 64
    assert code_hash() == code_hash()
    assert git_commit(tmp_path) == UNKNOWN
