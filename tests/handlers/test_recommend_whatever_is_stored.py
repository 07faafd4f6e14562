"""Whatever bytes lie in a table or in the JSON of a bundle, a page is answered with 200."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recommender.adapters.bundle_cache import BundleLoads, CachedBundles
from recommender.adapters.dynamodb.experiments import DynamoExperimentStore
from recommender.adapters.dynamodb.overrides import DynamoOverrides
from recommender.adapters.dynamodb.state import DynamoState
from recommender.adapters.http import Handler, key_digest
from recommender.adapters.memory.sources import MemoryOverrides
from recommender.adapters.snapshots import CachedSnapshots
from recommender.adapters.standby import CachedStandby
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import CURRENT, CURRENT_COPY, MANIFEST, STANDBY, Pointer, file_key
from recommender.contracts.placements import registry
from recommender.use_cases.recommend import recommend

from tests.adapters.bundle_files import manifest_of, write_bundle_files
from tests.fakes.sources import MemoryArtifacts
from tests.handlers.deployed import KEY, SETTINGS, deployed
from tests.handlers.lambda_events import answer_of, lambda_event, with_body
from tests.tiny_bundle import item_id
from tests.use_cases.serving import ALL_PLACEMENTS, Serving
from training_jobs.publishing import standby_of

ASKED = with_body(
    lambda_event("post_recommendations"),
    placements=[{"placement": name} for name in ALL_PLACEMENTS],
    user_id="h1",
)
Make = Callable[[dict[str, Any]], Handler]
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
TYPED = st.dictionaries(st.sampled_from(["S", "N", "B", "BOOL", "L", "M", "NULL"]), VALUES, max_size=2)
ATTRIBUTES = (
    "session_id shopper_id item_id packed expires_at availability price_cents deleted pk sk document epoch body weights"
)
ROWS = st.lists(st.dictionaries(st.sampled_from(ATTRIBUTES.split()), TYPED | VALUES, max_size=8), max_size=4)


class AnyTable:
    """A database whose tables hold these items, whatever is asked."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def call(self, operation: str, /, **_: Any) -> dict[str, Any]:
        tables = {SETTINGS.sessions_table: self.rows, SETTINGS.shoppers_table: self.rows}
        answers: dict[str, dict[str, Any]] = {
            "batch_get_item": {"Responses": tables},
            "scan": {"Items": self.rows},
            "query": {"Items": self.rows},
            "get_item": {"Item": self.rows[0]} if self.rows else {},
        }
        return answers[operation]


@pytest.fixture
def make(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Make:
    """The handler over a recommender in memory, with some of its sources replaced."""
    module = deployed("recommend", monkeypatch)

    def handler(sources: dict[str, Any]) -> Handler:
        serving = Serving()
        ports = {**serving.ports(), **sources}
        created: Handler = module.create_handler(
            partial(recommend, **ports),
            bundles=ports["bundles"],
            snapshots=ports["snapshots"],
            placements=registry("default"),
            key_digests=key_digest(KEY),
        )
        return created

    return handler


def expect_a_page(handler: Handler) -> dict[str, Any]:
    status, body = answer_of(handler(ASKED, None))
    assert (status, len(body["placements"])) == (200, 12)
    assert all(entry["items"] or entry.get("hidden_reason") for entry in body["placements"])
    return body


@MANY
@given(ROWS, ROWS, ROWS)
def test_any_bytes_in_any_table_field_leave_a_page(
    make: Make, state: list[Any], overrides: list[Any], snapshot: list[Any]
) -> None:
    tables: list[Any] = [AnyTable(rows) for rows in (state, overrides, snapshot)]
    experiments = DynamoExperimentStore.of(tables[2], SETTINGS)
    sources = {
        "state": DynamoState(tables[0], sessions_table=SETTINGS.sessions_table, shoppers_table=SETTINGS.shoppers_table),
        "overrides": DynamoOverrides(tables[1], SETTINGS.catalog_overrides_table),
        "snapshots": CachedSnapshots(experiments.load_snapshot, ttl_seconds=60),
    }

    expect_a_page(make(sources))


def published(tmp_path: Path, changes: dict[str, bytes]) -> MemoryArtifacts:
    """A store with one bundle whose manifest fits these contents of its files, and a sound standby file."""
    paths, store = write_bundle_files(tmp_path), MemoryArtifacts()
    store.objects[STANDBY] = standby_of(paths).to_json()
    for name in changes.keys() & paths.keys():
        paths[name].write_bytes(changes[name])
    manifest = manifest_of(paths)
    pointer = Pointer(manifest.bundle_id).to_json()
    files = {MANIFEST: manifest.to_json().encode(), **{name: path.read_bytes() for name, path in paths.items()}}
    store.objects |= {file_key(manifest.bundle_id, name): content for name, content in files.items()}
    store.objects |= {CURRENT: pointer, CURRENT_COPY: pointer}
    for name in changes.keys() - paths.keys():
        store.objects[file_key(manifest.bundle_id, name) if name == MANIFEST else name] = changes[name]
    return store


def over(store: MemoryArtifacts, cache: Path) -> dict[str, Any]:
    loads = BundleLoads(store, cache, clock=lambda: 0.0, start=lambda look: look())
    return {
        "bundles": CachedBundles(loads, ttl_seconds=60),
        "standby": CachedStandby(store, ttl_seconds=60, clock=lambda: 0.0),
        "overrides": MemoryOverrides(),
    }


JSON_FILES = [names.FALLBACK, names.TOKENIZER, MANIFEST, CURRENT, CURRENT_COPY]
CONTENTS = st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value, default=repr).encode())


@SLOW
@given(st.dictionaries(st.sampled_from(JSON_FILES), CONTENTS, min_size=1, max_size=3))
def test_any_bytes_in_any_json_of_a_bundle_leave_a_page(
    make: Make, tmp_path_factory: pytest.TempPathFactory, changes: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("bundle")

    expect_a_page(make(over(published(folder, changes), folder / "cache")))


def test_a_catalogue_that_cannot_be_read_line_by_line_leaves_the_standby_lists(make: Make, tmp_path: Path) -> None:
    content = write_bundle_files(tmp_path / "whole")[names.CATALOGUE].read_bytes()
    sources = over(published(tmp_path, {names.CATALOGUE: b"x" * len(content)}), tmp_path / "cache")

    body = expect_a_page(make(sources))

    assert "bundle_unavailable" in body["degraded_reason"].split(",")
    assert body["model_version"] is None


def test_the_last_step_of_the_ladder_shares_none_of_what_failed_before_it(make: Make, tmp_path: Path) -> None:
    def explode(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("nobody thought of this")

    class Exploding:
        read = current = explode

    store = published(tmp_path, {})
    sources: dict[str, Any] = dict.fromkeys(("state", "bundles", "canaries", "snapshots", "overrides"), Exploding())
    standby = CachedStandby(store, ttl_seconds=60, clock=lambda: 0.0)

    body = expect_a_page(make({**sources, "ranking": explode, "standby": standby}))

    assert body["degraded_reason"].split(",")[-2:] == ["bundle_unavailable", "stock_unavailable"]
    assert body["placements"][0]["items"][0]["item_id"] == item_id(0, 0)
