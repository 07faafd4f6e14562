"""The bundle in force: a new one is seen in time, a bad one never replaces a good one, nobody waits for long."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recommender.adapters.bundle_cache import FIRST_WAIT_SECONDS, BundleLoads, CachedBundles
from recommender.adapters.dynamodb.client import ATTEMPTS, READ_TIMEOUT_SECONDS
from recommender.adapters.standby import FIRST_WAIT_SECONDS as STANDBY_WAIT_SECONDS
from recommender.adapters.standby import CachedStandby
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import CURRENT, MANIFEST, SCHEMA_VERSION, STANDBY, file_key
from recommender.errors import ArtifactRefused, DependencyDown, NotFound, RecommenderError
from recommender.ports import StoredObject
from recommender.use_cases.release_bundle import roll_back_bundle

from tests.adapters.bundle_files import CREATED_AT, manifest_of, publish_tiny, write_bundle_files
from tests.fakes.sources import MemoryArtifacts
from tests.tiny_bundle import item_id
from training_jobs.publishing import publish


class Shop:
    """A source over a store in memory, with a clock that a test turns."""

    def __init__(self, tmp_path: Path) -> None:
        self.seconds = 0.0
        self.refusals: list[RecommenderError] = []
        self.store = MemoryArtifacts()
        self.files = tmp_path / "files"
        self.cache = tmp_path / "cache"
        self.bundles = self.cold()

    def cold(self) -> CachedBundles:
        """What a process that has just begun holds: nothing yet."""
        loads = BundleLoads(
            self.store,
            self.cache,
            clock=lambda: self.seconds,
            on_refusal=self.refusals.append,
            start=lambda look: look(),
        )
        return CachedBundles(loads, ttl_seconds=60)

    def change(self, bundle_id: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the published manifest of a bundle."""
        body = json.loads(self.store.objects[file_key(bundle_id, MANIFEST)])
        change(body)
        self.store.objects[file_key(bundle_id, MANIFEST)] = json.dumps(body).encode()

    def publish_changed(self) -> str:
        """A second bundle: other fallback lists, an hour later."""
        paths = write_bundle_files(self.files)
        paths[names.FALLBACK].write_text(json.dumps({"home_hero": [item_id(2, 2)]}))
        return publish(self.store, manifest_of(paths, created_at=CREATED_AT + timedelta(hours=1)), paths)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_new_bundle_is_seen_after_the_ttl_and_not_before(shop: Shop) -> None:
    first = publish_tiny(shop.store, shop.files)
    assert shop.bundles.current().bundle_id == first
    second = shop.publish_changed()

    shop.seconds = 59
    assert shop.bundles.current().bundle_id == first
    shop.seconds = 60
    assert shop.bundles.current().bundle_id == second


def test_an_unchanged_bundle_is_not_loaded_again(shop: Shop) -> None:
    publish_tiny(shop.store, shop.files)
    first = shop.bundles.current()

    shop.seconds = 600

    assert shop.bundles.current() is first


def test_the_last_good_bundle_stays_when_the_new_one_is_refused(shop: Shop) -> None:
    first = publish_tiny(shop.store, shop.files)
    shop.bundles.current()
    second = shop.publish_changed()
    good = shop.store.objects[file_key(second, names.FALLBACK)]
    shop.store.objects[file_key(second, names.FALLBACK)] = b"{}"

    shop.seconds = 60
    assert shop.bundles.current().bundle_id == first
    assert names.FALLBACK in shop.refusals[0].detail

    shop.store.objects[file_key(second, names.FALLBACK)] = good  # repaired
    shop.seconds = 120
    assert shop.bundles.current().bundle_id == second


def test_a_pointer_that_is_no_json_leaves_the_last_good_bundle(shop: Shop) -> None:
    first = publish_tiny(shop.store, shop.files)
    shop.bundles.current()
    shop.store.write(CURRENT, b"not json")

    shop.seconds = 60

    assert shop.bundles.current().bundle_id == first
    assert isinstance(shop.refusals[0], ArtifactRefused)


def test_without_any_bundle_the_source_is_down_until_one_is_published(shop: Shop) -> None:
    with pytest.raises(DependencyDown, match="no published bundle"):
        shop.bundles.current()
    first = publish_tiny(shop.store, shop.files)

    shop.seconds = 2

    assert shop.bundles.current().bundle_id == first


def test_the_cache_keeps_the_new_bundle_and_the_one_before(shop: Shop) -> None:
    (shop.cache / "older-bundle").mkdir(parents=True)
    first = publish_tiny(shop.store, shop.files)
    shop.bundles.current()
    second = shop.publish_changed()
    shop.seconds = 60
    shop.bundles.current()

    assert {folder.name for folder in shop.cache.iterdir()} == {first, second}


def test_a_pointer_that_cannot_be_read_is_told_and_its_copy_serves_a_cold_process(shop: Shop) -> None:
    publish_tiny(shop.store, shop.files)
    second = shop.publish_changed()

    for broken in (b"", b"not json", b"{}", b"[]", b'{"bundle_id": 7}', b'{"bundle_id": "../x"}', b"\xff"):
        shop.store.objects[CURRENT] = broken
        shop.refusals.clear()
        assert shop.cold().current().bundle_id == second
        assert isinstance(shop.refusals[0], ArtifactRefused)
    del shop.store.objects[CURRENT]
    assert shop.cold().current().bundle_id == second


def test_a_cold_process_serves_the_bundle_before_where_the_one_in_force_is_refused(shop: Shop) -> None:
    first = publish_tiny(shop.store, shop.files)
    second = shop.publish_changed()
    name = file_key(second, names.RANKER)
    whole = shop.store.objects[name]
    shop.store.objects[name] = whole[:-1] + bytes([whole[-1] ^ 1])

    bundles = shop.cold()

    assert bundles.current().bundle_id == first
    assert names.RANKER in shop.refusals[0].detail
    shop.store.objects[name] = whole  # repaired
    shop.seconds = 60
    assert bundles.current().bundle_id == second


NEWER: list[Callable[[dict[str, Any]], None]] = [
    lambda body: body.update(features=[*body["features"], "a feature of tomorrow"]),
    lambda body: body.update(features=body["features"][:-1]),
    lambda body: body.update(schema_version=SCHEMA_VERSION + 1),
    lambda body: body.update(schema_version=SCHEMA_VERSION - 1),
    lambda body: body["files"].pop(names.LEXICAL),
    lambda body: body.update(field_of_tomorrow=1),
]


@pytest.mark.parametrize("change", NEWER)
def test_code_beside_a_bundle_of_another_version_serves_the_one_before_that_it_understands(
    shop: Shop, change: Callable[[dict[str, Any]], None]
) -> None:
    first = publish_tiny(shop.store, shop.files)
    shop.change(shop.publish_changed(), change)

    assert shop.cold().current().bundle_id == first


@pytest.mark.parametrize("change", NEWER)
def test_code_that_understands_no_bundle_has_the_standby_lists(
    shop: Shop, change: Callable[[dict[str, Any]], None]
) -> None:
    for bundle_id in (publish_tiny(shop.store, shop.files), shop.publish_changed()):
        shop.change(bundle_id, change)

    with pytest.raises(DependencyDown):
        shop.cold().current()
    standby = CachedStandby(shop.store, ttl_seconds=60, clock=lambda: shop.seconds).current()
    assert standby.lists["home_hero"] == (item_id(2, 2),)  # of the second bundle
    assert len(standby.items) >= 200
    assert standby.items[item_id(0, 1)].title == "Item 1 of aisle 0"


def test_a_promoted_bundle_is_in_the_copy_and_a_rolled_back_one_is_not_served(shop: Shop) -> None:
    first, second = publish_tiny(shop.store, shop.files), shop.publish_changed()
    roll_back_bundle(second, artifacts=shop.store)
    shop.store.objects[CURRENT] = b"garbage"
    assert shop.cold().current().bundle_id == first


def test_standby_lists_serve_on_while_the_store_is_down(tmp_path: Path) -> None:
    store, seconds = MemoryArtifacts(), [0.0]
    failures: list[RecommenderError] = []
    source = CachedStandby(
        store, ttl_seconds=60, clock=lambda: seconds[0], on_failure=failures.append, start=lambda read: read()
    )
    with pytest.raises(DependencyDown):
        source.current()
    publish_tiny(store, tmp_path)
    seconds[0] = 60
    known = source.current()

    store.objects[STANDBY] = b"{}"
    seconds[0] = 120

    assert source.current() is known
    assert [type(failure) for failure in failures] == [NotFound, ArtifactRefused]


class HangingStore(MemoryArtifacts):
    """Answers nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.reads = 0

    def read(self, key: str) -> StoredObject:
        self.reads += 1
        assert self.released.wait(30)
        return super().read(key)


def test_with_a_hanging_store_only_the_first_caller_waits_and_not_long(tmp_path: Path) -> None:
    store = HangingStore()
    bundles = CachedBundles(BundleLoads(store, tmp_path, clock=time.monotonic), ttl_seconds=60, first_wait_seconds=0.05)

    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(DependencyDown):
            bundles.current()

    assert time.monotonic() - began < 20 * 0.05  # twenty waits would take a second
    assert store.reads == 1
    store.released.set()


def test_a_cold_function_gives_up_on_a_store_that_hangs_within_its_ten_seconds(tmp_path: Path) -> None:
    store = HangingStore()
    bundles = CachedBundles(BundleLoads(store, tmp_path, clock=time.monotonic), ttl_seconds=60, first_wait_seconds=0.06)
    standby = CachedStandby(store, ttl_seconds=60, first_wait_seconds=0.02)

    began = time.monotonic()
    for _ in range(20):
        for source in (bundles, standby):
            with pytest.raises(DependencyDown):
                source.current()

    assert time.monotonic() - began < 20 * 0.08  # twenty times both waits
    assert store.reads == 2
    database_seconds = ATTEMPTS * READ_TIMEOUT_SECONDS  # what is stored of the shopper; the rest is refused at once
    assert FIRST_WAIT_SECONDS + STANDBY_WAIT_SECONDS + database_seconds < 10
    store.released.set()


def test_while_a_bundle_serves_nobody_waits_for_the_store(tmp_path: Path) -> None:
    hanging = HangingStore()
    hanging.released.set()
    publish_tiny(hanging, tmp_path / "files")
    bundles = CachedBundles(BundleLoads(hanging, tmp_path / "cache", clock=time.monotonic), ttl_seconds=0)
    first = bundles.current()
    hanging.released.clear()

    assert all(bundles.current() is first for _ in range(20))
    hanging.released.set()
