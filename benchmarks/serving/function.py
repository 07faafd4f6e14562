"""The serving function as Lambda runs it, without AWS: its own module, the real bundle loader, tables in memory.

What stands in for DynamoDB holds items as its tables hold them, so sessions and shoppers are packed when they are
stored and unpacked by each request. No byte goes over a network, and nothing of boto3 runs in a request.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from recommender.adapters.bundle_cache import BundleLoads, CachedBundles
from recommender.adapters.dynamodb.client import Database, Item
from recommender.adapters.dynamodb.state import DynamoState
from recommender.adapters.http import Handler, key_digest
from recommender.adapters.memory.sources import MemoryOverrides
from recommender.adapters.snapshots import CachedSnapshots
from recommender.contracts.placements import registry
from recommender.contracts.settings import ServingSettings
from recommender.domain.experiments.running.config import default_config, first_snapshot
from recommender.domain.models.bundle import Bundle
from recommender.errors import DependencyDown, RecommenderError
from recommender.ports import ArtifactStore
from recommender.use_cases.recommend import recommend

MODULE: Final = "functions.recommend.handler"
SERVICE: Final = "recommend"
KEY: Final = "pk_benchmark"
SECRET: Final = b"a secret of the benchmark"
SESSIONS, SHOPPERS = "sessions", "shoppers"
KEYS: Final = {SESSIONS: "session_id", SHOPPERS: "shopper_id"}
LOAD_SECONDS: Final = 600.0
NEVER: Final = float("inf")  # seconds after which what is cached is read again
NOBODY: Final = "http://127.0.0.1:9"  # where no AWS answers: the module is imported, and told at once
VARIABLES: Final = {
    **ServingSettings(
        sessions_table=SESSIONS,
        shoppers_table=SHOPPERS,
        experiments_table="experiments",
        ledger_table="ledger",
        catalog_overrides_table="overrides",
        artifacts_bucket="artifacts",
        events_bucket="events",
        signing_secret_id="env:RECOMMENDER_SIGNING_SECRET",  # noqa: S106 - the name of a variable
        publishable_key_digests=key_digest(KEY),
    ).to_environment(),
    "RECOMMENDER_SIGNING_SECRET": SECRET.decode(),
    "AWS_ENDPOINT_URL": NOBODY,
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_TRACE_DISABLED": "1",
}


class StoredItems:
    """The part of a DynamoDB client that stores sessions and shoppers and reads them, over dictionaries."""

    def __init__(self) -> None:
        """Start with empty tables."""
        self._tables: dict[str, dict[str, Item]] = {name: {} for name in KEYS}

    def get_item(self, *, TableName: str, Key: Item, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """The item of a key, where there is one."""
        found = self._tables[TableName].get(Key[KEYS[TableName]]["S"])
        return {} if found is None else {"Item": found}

    def put_item(self, *, TableName: str, Item: Item, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """Store an item; its condition is taken to hold."""
        self._tables[TableName][Item[KEYS[TableName]]["S"]] = Item
        return {}

    def batch_write_item(self, *, RequestItems: Mapping[str, Sequence[Any]]) -> dict[str, Any]:  # noqa: N803
        """Store every item."""
        for table, requests in RequestItems.items():
            for request in requests:
                self.put_item(TableName=table, Item=request["PutRequest"]["Item"])
        return {"UnprocessedItems": {}}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """The items of the keys asked for, whole."""
        found: dict[str, list[Item]] = {}
        for table, wanted in RequestItems.items():
            answers = (self.get_item(TableName=table, Key=key) for key in wanted["Keys"])
            found[table] = [answer["Item"] for answer in answers if "Item" in answer]
        return {"Responses": found, "UnprocessedKeys": {}}


def serving_handler(store: ArtifactStore, cache_dir: Path, database: Database) -> tuple[Handler, Bundle]:
    """The handler over the bundle in force and these tables, and that bundle. Raises why it cannot be loaded."""
    refusals: list[RecommenderError] = []
    loads = BundleLoads(store, cache_dir, clock=time.monotonic, on_refusal=refusals.append)
    bundles = CachedBundles(loads, ttl_seconds=NEVER, first_wait_seconds=LOAD_SECONDS)
    try:
        bundle = bundles.current()
    except DependencyDown as error:
        raise (refusals or [error])[0] from error
    now = datetime.now(UTC)
    snapshot = first_snapshot(default_config(now), now)
    snapshots = CachedSnapshots(lambda: snapshot, ttl_seconds=NEVER)
    placements = registry("default")
    serve = partial(
        recommend,
        state=DynamoState(database, sessions_table=SESSIONS, shoppers_table=SHOPPERS),
        bundles=bundles,
        snapshots=snapshots,
        overrides=MemoryOverrides(),
        secret=SECRET,
        new_id=lambda: f"r_{uuid.uuid4().hex}",
        placements=placements,
    )
    handler: Handler = _module().create_handler(
        serve, bundles=bundles, snapshots=snapshots, placements=placements, key_digests=key_digest(KEY)
    )
    return handler, bundle


@contextmanager
def unheard() -> Iterator[None]:
    """Log lines and metrics are written as Lambda has them written, to where nobody reads."""
    writers = [writer for writer in logging.getLogger(SERVICE).handlers if isinstance(writer, logging.StreamHandler)]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        held = [(writer, writer.setStream(nowhere)) for writer in writers]
        try:
            yield
        finally:
            for writer, stream in held:
                if stream is not None:
                    writer.setStream(stream)


def _module() -> Any:
    """A copy of the function's module, which composes itself over AWS as it is run and makes do without.

    It is not registered as imported: whoever imports the function later has their own environment.
    """
    spec = importlib.util.find_spec(MODULE)
    assert spec is not None and spec.loader is not None  # a file of this repository
    module = importlib.util.module_from_spec(spec)
    before = dict(os.environ)
    os.environ.update(VARIABLES)
    try:
        with redirect_stdout(io.StringIO()):  # it tells of all that it cannot reach
            spec.loader.exec_module(module)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return module
