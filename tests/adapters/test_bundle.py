"""Loading a bundle: what fits is served as published, and whatever does not fit is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recommender.adapters.bundle import checked_retrieval, load_bundle
from recommender.adapters.onnx import OnnxModel
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import MANIFEST
from recommender.errors import ArtifactRefused, DependencyDown

from tests.adapters.bundle_files import manifest_of, publish_tiny, write_bundle_files, write_retrieval
from tests.fakes.sources import MemoryArtifacts
from tests.tiny_bundle import COUNT, item_id, tiny_bundle
from training_jobs.publishing import publish


@pytest.fixture
def store() -> MemoryArtifacts:
    return MemoryArtifacts()


@pytest.fixture
def bundle_id(store: MemoryArtifacts, tmp_path: Path) -> str:
    return publish_tiny(store, tmp_path / "files")


def key(bundle_id: str, name: str) -> str:
    return f"bundles/{bundle_id}/{name}"


def change_manifest(store: MemoryArtifacts, bundle_id: str, change: Callable[[dict[str, object]], None]) -> None:
    body = json.loads(store.objects[key(bundle_id, MANIFEST)])
    change(body)
    store.write(key(bundle_id, MANIFEST), json.dumps(body).encode())


def test_a_loaded_bundle_is_what_was_published(store: MemoryArtifacts, bundle_id: str, tmp_path: Path) -> None:
    expected = tiny_bundle()

    bundle = load_bundle(store, bundle_id, tmp_path / "cache")

    assert bundle.bundle_id == bundle_id
    assert bundle.item_ids.tolist() == expected.item_ids.tolist()
    assert np.array_equal(bundle.item_vectors, expected.item_vectors)
    assert np.array_equal(bundle.session_index.session_items, expected.session_index.session_items)
    assert bundle.prior.strength == expected.prior.strength
    assert bundle.catalogue.describe(13) == expected.catalogue.describe(13)
    assert bundle.fallback == expected.fallback
    assert bundle.rows_of([item_id(1, 1), "nothing"]).tolist() == [13, -1]


def test_its_models_answer(store: MemoryArtifacts, bundle_id: str, tmp_path: Path) -> None:
    bundle = load_bundle(store, bundle_id, tmp_path / "cache")
    vectors = bundle.item_vectors

    user = bundle.user_tower({"history": np.array([[3, 5]]), "weights": np.ones((1, 2), np.float32)})["user_vec"]
    found = bundle.retrieval({"q": vectors[7:8]})["i"][0]

    assert np.allclose(user[0], (vectors[3] + vectors[5]) / 2, atol=1e-6)
    assert found[0] == 7
    assert found[:5].tolist() == np.argsort(-(vectors @ vectors[7]))[:5].tolist()


def test_queries_are_encoded_once_however_they_are_written(
    store: MemoryArtifacts, bundle_id: str, tmp_path: Path
) -> None:
    bundle = load_bundle(store, bundle_id, tmp_path / "cache")

    first = bundle.encode_query("apple juice")
    same = bundle.encode_query("  Apple   JUICE ")

    assert first is same
    assert not first.flags.writeable
    assert np.isclose(np.linalg.norm(first), 1.0, atol=1e-6)


@pytest.mark.parametrize("name", names.REQUIRED_FILES)
def test_a_missing_file_is_refused(store: MemoryArtifacts, bundle_id: str, tmp_path: Path, name: str) -> None:
    del store.objects[key(bundle_id, name)]

    with pytest.raises(ArtifactRefused, match=name):
        load_bundle(store, bundle_id, tmp_path / "cache")


@pytest.mark.parametrize("name", [names.ITEM_VECTORS, names.RANKER, names.CATALOGUE])
def test_a_truncated_file_is_refused(store: MemoryArtifacts, bundle_id: str, tmp_path: Path, name: str) -> None:
    store.objects[key(bundle_id, name)] = store.objects[key(bundle_id, name)][:-1]

    with pytest.raises(ArtifactRefused, match=rf"{name} has \d+ bytes, the manifest has \d+"):
        load_bundle(store, bundle_id, tmp_path / "cache")


@pytest.mark.parametrize("name", [names.PRIOR, names.QUERY_ENCODER, names.FALLBACK])
def test_a_file_with_one_changed_byte_is_refused(
    store: MemoryArtifacts, bundle_id: str, tmp_path: Path, name: str
) -> None:
    content = bytearray(store.objects[key(bundle_id, name)])
    content[len(content) // 2] ^= 1
    store.objects[key(bundle_id, name)] = bytes(content)

    with pytest.raises(ArtifactRefused, match=f"{name} has another SHA-256"):
        load_bundle(store, bundle_id, tmp_path / "cache")


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(1, "expected 2: it was published by older jobs"), (3, "expected 2: it is newer than this code"), (None, "older")],
)
def test_another_schema_version_is_refused_with_what_to_do(
    store: MemoryArtifacts, bundle_id: str, tmp_path: Path, version: int | None, remedy: str
) -> None:
    change_manifest(store, bundle_id, lambda body: body.update(schema_version=version))

    with pytest.raises(ArtifactRefused, match=f"schema_version {version}, .*{remedy}"):
        load_bundle(store, bundle_id, tmp_path / "cache")


def test_a_missing_manifest_is_refused(store: MemoryArtifacts, bundle_id: str, tmp_path: Path) -> None:
    del store.objects[key(bundle_id, MANIFEST)]

    with pytest.raises(ArtifactRefused, match="has no manifest"):
        load_bundle(store, bundle_id, tmp_path / "cache")


def test_a_manifest_cannot_name_a_file_outside_its_folder(
    store: MemoryArtifacts, bundle_id: str, tmp_path: Path
) -> None:
    def name_a_path(body: dict[str, object]) -> None:
        body["files"]["../outside"] = {"sha256": "0", "size_bytes": 0}  # type: ignore[index]

    change_manifest(store, bundle_id, name_a_path)

    with pytest.raises(ArtifactRefused, match="plain name"):
        load_bundle(store, bundle_id, tmp_path / "cache")


def test_a_bundle_trained_on_other_features_is_refused(store: MemoryArtifacts, bundle_id: str, tmp_path: Path) -> None:
    change_manifest(store, bundle_id, lambda body: body.update(features=["shoe_size"]))

    with pytest.raises(ArtifactRefused, match="shoe_size"):
        load_bundle(store, bundle_id, tmp_path / "cache")


def test_a_model_with_other_tensors_than_its_manifest_says_is_refused(
    store: MemoryArtifacts, bundle_id: str, tmp_path: Path
) -> None:
    def widen(body: dict[str, object]) -> None:
        body["files"][names.RANKER]["inputs"][0]["shape"] = [None, 999]  # type: ignore[index]

    change_manifest(store, bundle_id, widen)

    with pytest.raises(ArtifactRefused, match=r"ranker\.onnx has inputs features float32"):
        load_bundle(store, bundle_id, tmp_path / "cache")


def test_arrays_of_different_item_counts_are_refused(store: MemoryArtifacts, tmp_path: Path) -> None:
    paths = write_bundle_files(tmp_path / "files")
    np.save(paths[names.SESSION_ITEM_VECTORS], tiny_bundle().session_item_vectors[:-1])
    bundle_id = publish(store, manifest_of(paths), paths)

    with pytest.raises(ArtifactRefused, match=f"{COUNT - 1} rows, expected one for each of {COUNT}"):
        load_bundle(store, bundle_id, tmp_path / "cache")


def test_a_damaged_cache_is_fetched_again(store: MemoryArtifacts, bundle_id: str, tmp_path: Path) -> None:
    load_bundle(store, bundle_id, tmp_path / "cache")
    damaged = tmp_path / "cache" / bundle_id / names.FALLBACK
    damaged.write_bytes(damaged.read_bytes()[:-1])

    bundle = load_bundle(store, bundle_id, tmp_path / "cache")

    assert bundle.fallback == tiny_bundle().fallback


def test_a_whole_cache_needs_only_the_manifest(store: MemoryArtifacts, bundle_id: str, tmp_path: Path) -> None:
    load_bundle(store, bundle_id, tmp_path / "cache")
    for name in names.REQUIRED_FILES:
        del store.objects[key(bundle_id, name)]

    assert load_bundle(store, bundle_id, tmp_path / "cache").count_items == COUNT


def test_a_cache_that_cannot_be_written_is_a_dependency_down(
    store: MemoryArtifacts, bundle_id: str, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file in the way")

    with pytest.raises(DependencyDown, match="cache"):
        load_bundle(store, bundle_id, tmp_path / "cache")


def test_a_retrieval_graph_that_answers_wrongly_is_replaced_by_numpy(tmp_path: Path) -> None:
    vectors = tiny_bundle().item_vectors
    write_retrieval(tmp_path / "retrieval.onnx", np.ascontiguousarray(vectors[::-1]))
    said: list[str] = []

    retrieval = checked_retrieval(OnnxModel(tmp_path / "retrieval.onnx"), vectors, said.append)

    assert retrieval({"q": vectors[7:8]})["i"][0][0] == 7
    assert "retrieval runs in numpy" in said[0]
