"""The composed serving function with two published bundles: a canary is served, counted as one, and taken off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from recommender.adapters.dynamodb.client import connect, create_tables
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.s3 import S3Artifacts
from recommender.contracts import artifacts as names
from recommender.domain.experiments.running.config import Snapshot, default_config, with_experiment
from recommender.domain.serving.attribution import verify

from tests.adapters.bundle_files import CREATED_AT, manifest_of, publish_tiny, write_bundle_files
from tests.handlers.deployed import ENVIRONMENT, SETTINGS, deployed
from tests.handlers.lambda_events import answer_of, lambda_event
from training_jobs.publishing import publish

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PATIENCE_SECONDS = 30.0
Handle = Callable[[], dict[str, Any]]


def published(folder: Path) -> tuple[str, str]:
    """The ids of the bundle in force and of a canary with other fallback lists, both in S3."""
    boto3.client("s3").create_bucket(
        Bucket=SETTINGS.artifacts_bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    store = S3Artifacts.connect(SETTINGS.artifacts_bucket)
    in_force = publish_tiny(store, folder / "one")
    paths = write_bundle_files(folder / "two")
    paths[names.FALLBACK].write_text(json.dumps({"home_hero": ["item-02-02"]}))
    later = manifest_of(paths, created_at=CREATED_AT + timedelta(hours=1))
    return in_force, publish(store, later, paths, as_canary=True)


def of_canary(bundle_id: str) -> Snapshot:
    """All traffic on the canary."""
    config = replace(
        default_config(NOW), mode="canary", variants=("hybrid", "canary"), bundle_id=bundle_id, holdout_share=0.0
    )
    first = with_experiment(None, config, NOW)
    return replace(first, weights={config.experiment_id: dict.fromkeys(config.placements, (0.0, 1.0))})


def until(ask: Handle, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first answer that is as expected: bundles are loaded and snapshots read in the background."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_there(body := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return body


def test_a_canary_is_served_from_its_bundle_with_its_name_in_the_token_until_it_is_killed(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compose = deployed("recommend", monkeypatch).compose  # imported while AWS is empty, as the other tests expect
    create_tables(boto3.client("dynamodb"))
    in_force, canary = published(tmp_path)
    store = DynamoExperimentStore(connect(), experiments_table="experiments", ledger_table="ledger")
    snapshot = of_canary(canary)
    store.swap_snapshot(snapshot)
    handler = compose(
        {
            **ENVIRONMENT,
            "RECOMMENDER_BUNDLE_CACHE_DIR": str(tmp_path / "cache"),
            "RECOMMENDER_SNAPSHOT_TTL_SECONDS": "0.2",
        }
    )

    def ask() -> dict[str, Any]:
        status, body = answer_of(handler(lambda_event("post_recommendations"), None))
        assert status == 200
        return dict(body)

    body = until(ask, lambda body: body["model_version"] == canary)

    assert (body["model_version"], body["degraded"]) == (canary, False)
    secret = ENVIRONMENT["RECOMMENDER_SIGNING_SECRET"].encode()
    for placement in body["placements"]:
        claims = verify(placement["attribution_token"], secret)
        assert (claims.variant, claims.experiment) == ("canary", "exp_default")
        assert placement["experiment"] == {"id": "exp_default", "variant": "canary"}

    store.swap_snapshot(replace(snapshot, epoch=2, killed=frozenset({"exp_default/canary"})))
    body = until(ask, lambda body: body["model_version"] == in_force)

    assert (body["model_version"], body["degraded"]) == (in_force, False)
    assert {placement["experiment"]["variant"] for placement in body["placements"]} == {"hybrid"}
    assert list((tmp_path / "cache-canary").iterdir()) == []
