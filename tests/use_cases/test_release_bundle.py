"""A bundle is put in force and taken back by one flip, whoever asks how often, and never against a newer one."""

from __future__ import annotations

from pathlib import Path

import pytest
from recommender.contracts.artifacts import CANDIDATE, CURRENT, MANIFEST, Pointer
from recommender.errors import ArtifactRefused, Conflict, NotFound
from recommender.pointers import flip, pointed, read_pointer
from recommender.use_cases.release_bundle import candidate, promote_bundle, roll_back_bundle

from tests.adapters.bundle_files import publish_tiny
from tests.fakes.sources import MemoryArtifacts

OLD, NEW, NEWEST = (f"2026112{day}T030000Z-0123456789ab" for day in (2, 3, 4))


@pytest.fixture
def artifacts(tmp_path: Path) -> MemoryArtifacts:
    """Manifests of three bundles; the oldest is in force and the second is the canary."""
    store = MemoryArtifacts()
    written = publish_tiny(store, tmp_path)
    manifest = store.objects.pop(f"bundles/{written}/{MANIFEST}")
    del store.objects[CURRENT]
    for bundle_id in (OLD, NEW, NEWEST):
        store.write(f"bundles/{bundle_id}/{MANIFEST}", manifest.replace(written.encode(), bundle_id.encode()))
    flip(store, CURRENT, Pointer(OLD), seen=None)
    flip(store, CANDIDATE, Pointer(NEW), seen=None)
    return store


def test_the_candidate_is_what_was_published_as_a_canary(artifacts: MemoryArtifacts) -> None:
    assert candidate(artifacts) == NEW

    del artifacts.objects[CANDIDATE]
    with pytest.raises(NotFound, match="release=canary") as refusal:
        candidate(artifacts)
    assert refusal.value.code == "no_canary_bundle"


def test_a_promotion_puts_the_bundle_in_force_once(artifacts: MemoryArtifacts) -> None:
    assert promote_bundle(NEW, artifacts=artifacts) == OLD
    assert promote_bundle(NEW, artifacts=artifacts) == OLD

    assert read_pointer(artifacts, CURRENT).pointer == Pointer(NEW, OLD)


def test_a_roll_back_serves_the_bundle_before_and_the_way_is_open_again(artifacts: MemoryArtifacts) -> None:
    promote_bundle(NEW, artifacts=artifacts)

    assert roll_back_bundle(NEW, artifacts=artifacts) == OLD
    assert roll_back_bundle(NEW, artifacts=artifacts) == OLD
    assert pointed(artifacts, CURRENT) == OLD

    assert promote_bundle(NEW, artifacts=artifacts) == OLD


def test_a_bundle_that_never_served_cannot_be_rolled_back(artifacts: MemoryArtifacts) -> None:
    for bundle_id in (OLD, NEW):
        with pytest.raises(Conflict) as refusal:
            roll_back_bundle(bundle_id, artifacts=artifacts)
        assert refusal.value.code == "nothing_to_roll_back"


def test_a_newer_bundle_in_force_is_not_replaced(artifacts: MemoryArtifacts) -> None:
    promote_bundle(NEWEST, artifacts=artifacts)

    with pytest.raises(Conflict, match="publish a new canary") as refusal:
        promote_bundle(NEW, artifacts=artifacts)
    assert refusal.value.code == "newer_bundle_in_force"
    assert pointed(artifacts, CURRENT) == NEWEST


def test_a_bundle_that_was_never_published_or_is_not_understood_is_not_promoted(artifacts: MemoryArtifacts) -> None:
    with pytest.raises(NotFound, match="never published"):
        promote_bundle("20261125T030000Z-000000000000", artifacts=artifacts)
    artifacts.write(f"bundles/{NEW}/{MANIFEST}", b"{}")
    with pytest.raises(ArtifactRefused, match="schema_version"):
        promote_bundle(NEW, artifacts=artifacts)
    assert pointed(artifacts, CURRENT) == OLD


def test_a_bundle_before_that_cannot_serve_any_more_is_no_way_back(artifacts: MemoryArtifacts) -> None:
    promote_bundle(NEW, artifacts=artifacts)
    artifacts.write(f"bundles/{OLD}/{MANIFEST}", b"{}")

    with pytest.raises(Conflict, match="cannot serve"):
        roll_back_bundle(NEW, artifacts=artifacts)
    assert pointed(artifacts, CURRENT) == NEW


def test_of_a_promotion_and_a_publication_at_once_the_second_to_flip_loses(artifacts: MemoryArtifacts) -> None:
    class Overtaken(MemoryArtifacts):
        def write(self, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
            if key == CURRENT:
                self.objects[CURRENT] = Pointer(NEWEST, OLD).to_json()
            return super().write(key, content, if_match=if_match, if_absent=if_absent)

    store = Overtaken()
    store.objects = artifacts.objects

    with pytest.raises(Conflict, match="flipped by another run"):
        promote_bundle(NEW, artifacts=store)
    assert pointed(store, CURRENT) == NEWEST
