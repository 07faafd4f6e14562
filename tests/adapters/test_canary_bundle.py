"""The canary's bundle: loaded without anyone waiting, dropped when no canary needs it, retried when refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recommender.adapters.bundle_cache import BundleLoads, CachedBundles, CachedCanary
from recommender.contracts import artifacts as names
from recommender.errors import DependencyDown, RecommenderError
from recommender.ports import StoredObject

from tests.adapters.bundle_files import publish_tiny
from tests.fakes.sources import MemoryArtifacts


class Shop:
    """A source over a store in memory; a load runs when the test says so."""

    def __init__(self, tmp_path: Path) -> None:
        self.seconds = 0.0
        self.store = MemoryArtifacts()
        self.cache = tmp_path / "canary"
        self.bundle_id = publish_tiny(self.store, tmp_path / "files")
        self.waiting: list[Callable[[], None]] = []
        self.refusals: list[RecommenderError] = []
        loads = BundleLoads(
            self.store,
            self.cache,
            clock=lambda: self.seconds,
            on_refusal=self.refusals.append,
            start=self.waiting.append,
        )
        self.source = CachedCanary(loads, retry_seconds=60)

    def ask(self, bundle_id: str = "") -> str | None:
        """The id that is served, or None."""
        try:
            return self.source.current(bundle_id or self.bundle_id).bundle_id
        except DependencyDown:
            return None

    def load(self) -> None:
        """Let the background work run."""
        while self.waiting:
            self.waiting.pop()()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_nobody_waits_for_the_bundle_and_it_is_loaded_once(shop: Shop) -> None:
    assert (shop.ask(), shop.ask(), len(shop.waiting)) == (None, None, 1)

    shop.load()

    assert shop.ask() == shop.bundle_id
    assert shop.source.current(shop.bundle_id) is shop.source.current(shop.bundle_id)
    assert not shop.waiting


def test_it_is_dropped_with_its_files_when_no_canary_is_in_force(shop: Shop) -> None:
    shop.ask()
    shop.load()

    shop.source.release()
    shop.source.release()

    assert list(shop.cache.iterdir()) == []
    assert shop.ask() is None
    shop.load()
    assert shop.ask() == shop.bundle_id


def test_a_load_that_ends_after_the_canary_is_dropped_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.ask()
    read = shop.store.read

    def read_and_release(key: str) -> StoredObject:
        shop.source.release()
        return read(key)

    monkeypatch.setattr(shop.store, "read", read_and_release)
    shop.load()

    assert list(shop.cache.iterdir()) == []
    assert shop.ask() is None


def test_a_load_that_begins_after_the_canary_loads_nothing(shop: Shop) -> None:
    shop.ask()
    shop.source.release()

    shop.load()

    assert (shop.cache.exists(), shop.refusals) == (False, [])


def test_a_refused_bundle_is_told_and_tried_again_after_a_while(shop: Shop) -> None:
    key = f"bundles/{shop.bundle_id}/{names.PRIOR}"
    good = shop.store.objects[key]
    shop.store.objects[key] = b"something else"
    shop.ask()
    shop.load()

    assert (shop.ask(), shop.waiting) == (None, [])
    assert names.PRIOR in shop.refusals[0].detail

    shop.store.objects[key], shop.seconds = good, 60.0
    shop.ask()
    shop.load()
    assert shop.ask() == shop.bundle_id


def test_another_canary_takes_the_place_of_the_first(shop: Shop) -> None:
    shop.ask()
    shop.load()

    assert shop.ask("another") is None
    shop.load()

    assert "another" in shop.refusals[0].detail
    assert shop.ask() is None  # one bundle at most beside the one in force


def test_neither_source_clears_away_the_files_of_the_other(shop: Shop, tmp_path: Path) -> None:
    loads = BundleLoads(shop.store, tmp_path / "current", clock=lambda: 0.0, start=lambda look: look())
    bundles = CachedBundles(loads, ttl_seconds=60)
    bundles.current()
    shop.ask()
    shop.load()

    shop.source.release()

    assert [folder.name for folder in (tmp_path / "current").iterdir()] == [shop.bundle_id]
