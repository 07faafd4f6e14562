"""Fill an empty engine: tables and buckets from the contracts, the kept bundle, the shoppers, the first experiment.

It is what `cdk deploy` and the first training do in AWS, so it runs at every start of the local run and
again when the engine died.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from recommender.adapters.dynamodb.client import Database, create_tables, table_name
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.dynamodb.state import DynamoShoppers
from recommender.adapters.folder import FolderArtifacts
from recommender.adapters.s3 import S3Artifacts
from recommender.contracts.settings import ServingSettings
from recommender.domain.experiments.running.config import default_config
from recommender.errors import RecommenderError
from recommender.use_cases.report_experiment import start_experiment

from local.settings import REGION, SNAPSHOT_TTL_SECONDS, Keys, LocalRunError, RunSettings, StateFolder
from training_jobs.environment import SHOPPERS
from training_jobs.publishing import load_shoppers, replicate

PREFIX: Final = "recommender-"
SECRET_VARIABLE: Final = "RECOMMENDER_SIGNING_SECRET"  # noqa: S105 - the name of a variable, not a secret
COUNT_HOUSEHOLDS: Final = 24


@dataclass(frozen=True, slots=True)
class Access:
    """The address and keys of the engine."""

    url: str
    keys: Keys

    def variables(self) -> dict[str, str]:
        """The variables by which every AWS client of a function finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """A client with short patience: the engine is on this machine."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.keys.access_key,
            aws_secret_access_key=self.keys.secret_key,
            config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 2}),
        )


def serving_settings(settings: RunSettings, keys: Keys) -> ServingSettings:
    """The functions' settings, as CDK sets them in AWS."""
    return ServingSettings(
        sessions_table=table_name(PREFIX, "sessions"),
        shoppers_table=table_name(PREFIX, "shoppers"),
        experiments_table=table_name(PREFIX, "experiments"),
        ledger_table=table_name(PREFIX, "ledger"),
        catalog_overrides_table=table_name(PREFIX, "catalog_overrides"),
        artifacts_bucket=f"{PREFIX}artifacts",
        events_bucket=f"{PREFIX}events",
        signing_secret_id=f"env:{SECRET_VARIABLE}",
        publishable_key_digests=keys.publishable_key_digest,
        placements=settings.registry,
        snapshot_ttl_seconds=str(SNAPSHOT_TTL_SECONDS),
        bundle_ttl_seconds="2",
        bundle_cache_dir=str(settings.state.cache / "bundles"),
    )


def fill(settings: RunSettings, access: Access, names: ServingSettings) -> None:
    """Make an empty engine whole. Doing it twice changes nothing."""
    try:
        client, s3 = access.client("dynamodb"), access.client("s3")
        create_tables(client, PREFIX)
        _create_buckets(s3, names)
        database = Database(client)
        replicate(FolderArtifacts(settings.state.artifacts), S3Artifacts(s3, names.artifacts_bucket))
        load_shoppers(_shoppers_file(settings.state), DynamoShoppers(database, names.shoppers_table))
        now = datetime.now(UTC)
        start_experiment(default_config(now), store=experiment_store(client, names), now=now)
    except (BotoCoreError, ClientError, RecommenderError) as error:
        raise LocalRunError(f"The embedded AWS services cannot be filled: {error}.") from error


def experiment_store(client: Any, names: ServingSettings) -> DynamoExperimentStore:
    """The store of the functions, for this process."""
    return DynamoExperimentStore.of(Database(client), names)


def mark_simulated(access: Access, names: ServingSettings, at: datetime) -> None:
    """Say in the audit trail of every running experiment that its epoch ends at a simulated moment."""
    with closing(access.client("dynamodb")) as client:
        store, now = experiment_store(client, names), datetime.now(UTC).isoformat()
        snapshot = store.load_snapshot()
        for config in snapshot.configs if snapshot else ():
            if config.status == "running":
                store.append_audit(config.experiment_id, now, {"action": "simulate", "time": at.isoformat()})


def _create_buckets(s3: Any, names: ServingSettings) -> None:
    existing = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for name in (names.artifacts_bucket, names.events_bucket):
        if name not in existing:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})


def households(state: StateFolder) -> list[str]:
    """Shoppers to choose from on the shop page, spread over the file."""
    with _shoppers_file(state).open() as file:
        count = sum(1 for _ in file)
    with _shoppers_file(state).open() as file:
        chosen = islice(file, 0, None, max(1, count // COUNT_HOUSEHOLDS))
        return [json.loads(line)["shopper_id"] for line in chosen][:COUNT_HOUSEHOLDS]


def _shoppers_file(state: StateFolder) -> Path:
    return state.model("session_ranker") / SHOPPERS
