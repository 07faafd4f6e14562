"""The bundle in force: a new one is seen in time, a bad one never replaces a good one, nobody waits for long."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from recommender.adapters.bundle_loads import BundleLoads
from recommender.adapters.current_bundle import CachedBundles
from recommender.adapters.memory.artifacts import MemoryArtifacts
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import CURRENT, file_key
from recommender.errors import ArtifactRefused, DependencyDown, RecommenderError
from recommender.ports import StoredObject

from tests.adapters.bundle_files import CREATED_AT, manifest_of, publish_tiny, write_bundle_files
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
        loads = BundleLoads(
            self.store,
            self.cache,
            clock=lambda: self.seconds,
            on_refusal=self.refusals.append,
            start=lambda look: look(),
        )
        self.bundles = CachedBundles(loads, ttl_seconds=60)

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


def test_while_a_bundle_serves_nobody_waits_for_the_store(tmp_path: Path) -> None:
    hanging = HangingStore()
    hanging.released.set()
    publish_tiny(hanging, tmp_path / "files")
    bundles = CachedBundles(BundleLoads(hanging, tmp_path / "cache", clock=time.monotonic), ttl_seconds=0)
    first = bundles.current()
    hanging.released.clear()

    assert all(bundles.current() is first for _ in range(20))
    hanging.released.set()
