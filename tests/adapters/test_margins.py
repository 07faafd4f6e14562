"""Margins come from the bundle in force, are checked, and outlive a store that cannot answer."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from recommender.adapters.margins import TTL_SECONDS, BundleMargins
from recommender.contracts.artifacts import FALLBACK, ITEM_TABLE
from recommender.errors import DependencyDown, RecommenderError
from recommender.ports import StoredObject

from tests.adapters.bundle_files import CREATED_AT, manifest_of, write_bundle_files
from tests.fakes.sources import MemoryArtifacts
from tests.tiny_bundle import tiny_bundle
from training_jobs.publishing import publish


class Artifacts(MemoryArtifacts):
    """An artifact store that can be taken away; counts what is read."""

    is_down = False
    count_reads = 0

    def read(self, key: str) -> StoredObject:
        self.count_reads += 1
        if self.is_down:
            raise DependencyDown("switched off")
        return super().read(key)


class Published:
    """Margins over a published tiny bundle, with a clock to be set."""

    def __init__(self, folder: Path) -> None:
        self.artifacts, self.folder, self.seconds = Artifacts(), folder, 0.0
        self.failures: list[RecommenderError] = []
        self.margins = BundleMargins(self.artifacts, on_failure=self.failures.append, clock=lambda: self.seconds)

    def publish(self, day: int = 0) -> str:
        paths = write_bundle_files(self.folder / str(day))
        paths[FALLBACK].write_text(json.dumps({"day": [str(day)]}))  # another bundle each day
        return publish(self.artifacts, manifest_of(paths, created_at=CREATED_AT + timedelta(days=day)), paths)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


BUNDLE = tiny_bundle()
FIRST, LAST = BUNDLE.id_of(0), BUNDLE.id_of(BUNDLE.count_items - 1)
SHARES = {FIRST: float(BUNDLE.items.margin_share[0]), LAST: float(BUNDLE.items.margin_share[-1])}


def test_known_items_have_their_margin_and_others_none(published: Published) -> None:
    published.publish()

    assert published.margins.margin_shares([LAST, "unknown", FIRST, "\x00"]) == SHARES
    assert published.margins.margin_shares([]) == {}


def test_a_bundle_is_read_once_until_another_one_is_in_force(published: Published) -> None:
    published.publish()
    published.margins.margin_shares([FIRST])
    before = published.artifacts.count_reads

    published.seconds = TTL_SECONDS - 1
    published.margins.margin_shares([FIRST])
    assert published.artifacts.count_reads == before
    published.seconds = TTL_SECONDS
    published.margins.margin_shares([FIRST])
    assert published.artifacts.count_reads == before + 1  # the pointer
    published.publish(1)
    published.seconds = 2 * TTL_SECONDS
    assert published.margins.margin_shares([FIRST, LAST]) == SHARES


def test_what_was_known_outlives_the_store_and_a_damaged_bundle(published: Published) -> None:
    published.publish()
    published.margins.margin_shares([FIRST])

    published.artifacts.is_down, published.seconds = True, TTL_SECONDS
    assert published.margins.margin_shares([FIRST, LAST]) == SHARES
    published.artifacts.is_down, published.seconds = False, 2 * TTL_SECONDS
    published.artifacts.objects[f"bundles/{published.publish(1)}/{ITEM_TABLE}"] += b"altered"
    assert published.margins.margin_shares([FIRST, LAST]) == SHARES
    assert [failure.code for failure in published.failures] == ["dependency_down", "artifact_refused"]


def test_before_the_first_bundle_no_margin_is_known(published: Published) -> None:
    assert published.margins.margin_shares([FIRST]) == {}
