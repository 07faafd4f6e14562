"""Publishing: nothing published changes, the pointer moves once, and a gate stands before it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from recommender.adapters.bundle import load_bundle
from recommender.adapters.bundle_files import current_bundle_id
from recommender.adapters.folder import FolderArtifacts
from recommender.adapters.memory.sources import MemoryShoppers
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import (
    CANDIDATE,
    CURRENT,
    CURRENT_COPY,
    STANDBY,
    FileSpec,
    Manifest,
    TensorSpec,
    manifest_from_json,
)
from recommender.domain.serving.visit import PurchaseHistory, Shopper
from recommender.errors import ArtifactRefused, Conflict
from recommender.pointers import pointed

from tests.adapters.bundle_files import CREATED_AT, ORIGIN, manifest_of, publish_tiny, write_bundle_files
from tests.fakes.sources import MemoryArtifacts
from training_jobs.gate import judge, require_pass
from training_jobs.publishing import (
    build_manifest,
    collect_files,
    content_digest,
    load_shoppers,
    publish,
    read_shopper,
    replicate,
)

GOLDEN = Path(__file__).parent / "golden" / "manifest.json"


class Recorder(MemoryArtifacts):
    """Remembers what was written, and lets another writer in before the pointer is flipped."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.rival: bytes | None = None

    def write(self, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        if key == CURRENT and self.rival is not None:
            self.objects[CURRENT], self.rival = self.rival, None
        etag = super().write(key, content, if_match=if_match, if_absent=if_absent)
        self.written.append(key)
        return etag


@pytest.fixture
def store() -> Recorder:
    return Recorder()


def test_a_manifest_reads_as_it_always_has() -> None:
    files = {
        name: FileSpec(f"{number:064x}", 100 + number, *tensors(name))
        for number, name in enumerate(names.REQUIRED_FILES)
    }

    manifest = build_manifest(
        files,
        ORIGIN,
        created_at=CREATED_AT,
        features=("is_owned", "log_prior"),
        metrics={"evaluate": {"methods": {"hybrid": {"all": {"recall@20": 0.4}}}}},
        gate={"passed": True},
        settings={"derived_data": True},
    )

    assert manifest.to_json() == GOLDEN.read_text()
    assert manifest_from_json(GOLDEN.read_text()) == manifest


def tensors(name: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    if name != names.RANKER:
        return (), ()
    return (TensorSpec("features", "float32", (None, 2)),), (TensorSpec("score", "float32", (None,)),)


def test_the_id_is_the_moment_and_the_content(tmp_path: Path) -> None:
    manifest = manifest_of(write_bundle_files(tmp_path))

    assert manifest.bundle_id == f"20261123T030000Z-{content_digest(manifest.files)}"
    assert manifest.created_at == "2026-11-23T03:00:00Z"
    assert len(content_digest(manifest.files)) == 12


def test_the_manifest_describes_each_models_tensors(tmp_path: Path) -> None:
    manifest = manifest_of(write_bundle_files(tmp_path))

    assert manifest.files[names.QUERY_ENCODER].inputs == (
        TensorSpec("input_ids", "int64", (None, None)),
        TensorSpec("attention_mask", "int64", (None, None)),
    )
    assert manifest.files[names.ITEM_IDS].inputs == ()


def test_files_of_several_jobs_are_found_and_must_agree(tmp_path: Path) -> None:
    paths = write_bundle_files(tmp_path / "one")
    other = tmp_path / "two"
    other.mkdir()
    (other / names.ITEM_IDS).write_bytes(paths[names.ITEM_IDS].read_bytes())

    assert collect_files([tmp_path / "one", other]) == paths

    np.save(other / names.ITEM_IDS, np.array([b"another"]))
    with pytest.raises(ArtifactRefused, match=r"item_ids\.npy differs"):
        collect_files([tmp_path / "one", other])


def test_a_file_no_job_has_written_is_named(tmp_path: Path) -> None:
    write_bundle_files(tmp_path)[names.COHORTS].unlink()

    with pytest.raises(ArtifactRefused, match=r"no job has written cohorts\.npz"):
        collect_files([tmp_path])


def test_the_manifest_is_written_after_its_files_and_the_pointer_last(store: Recorder, tmp_path: Path) -> None:
    bundle_id = publish_tiny(store, tmp_path)

    assert store.written[-4:] == [f"bundles/{bundle_id}/manifest.json", STANDBY, CURRENT, CURRENT_COPY]
    assert len(store.written) == len(names.REQUIRED_FILES) + 4


def test_publishing_the_same_again_changes_nothing(store: Recorder, tmp_path: Path) -> None:
    first = publish_tiny(store, tmp_path)
    before = dict(store.objects)

    again = publish_tiny(store, tmp_path, created_at=CREATED_AT + timedelta(days=1))

    assert again == first
    assert store.objects == before


def test_a_run_that_died_halfway_is_finished_by_the_next(store: Recorder, tmp_path: Path) -> None:
    paths = write_bundle_files(tmp_path)
    manifest = manifest_of(paths)
    store.write(f"bundles/{manifest.bundle_id}/{names.PRIOR}", paths[names.PRIOR].read_bytes())

    assert publish(store, manifest, paths) == manifest.bundle_id
    assert current_bundle_id(store) == manifest.bundle_id


def test_published_files_are_never_replaced(store: Recorder, tmp_path: Path) -> None:
    paths = write_bundle_files(tmp_path)
    manifest = manifest_of(paths)
    store.write(f"bundles/{manifest.bundle_id}/{names.PRIOR}", b"something else")

    with pytest.raises(Conflict, match="never replaced"):
        publish(store, manifest, paths)
    assert CURRENT not in store.objects


def test_of_two_publishers_the_second_to_flip_loses(store: Recorder, tmp_path: Path) -> None:
    store.rival = json.dumps({"bundle_id": "another"}).encode()

    with pytest.raises(Conflict, match=r"current\.json has been flipped by another run"):
        publish_tiny(store, tmp_path)
    assert current_bundle_id(store) == "another"


def test_a_flip_that_lost_against_its_own_retry_has_won(store: Recorder, tmp_path: Path) -> None:
    paths = write_bundle_files(tmp_path)
    manifest = manifest_of(paths)
    store.rival = json.dumps({"bundle_id": manifest.bundle_id}).encode()

    assert publish(store, manifest, paths) == manifest.bundle_id


def changed(folder: Path) -> tuple[Manifest, dict[str, Path]]:
    """A second bundle: other fallback lists, an hour later."""
    paths = write_bundle_files(folder)
    paths[names.FALLBACK].write_text(json.dumps({"home_hero": ["item-02-02"]}))
    return manifest_of(paths, created_at=CREATED_AT + timedelta(hours=1)), paths


def test_a_canary_is_published_beside_the_bundle_in_force(store: Recorder, tmp_path: Path) -> None:
    in_force = publish_tiny(store, tmp_path / "one")
    manifest, paths = changed(tmp_path / "two")

    bundle_id = publish(store, manifest, paths, as_canary=True)
    again = publish(store, manifest, paths, as_canary=True)

    assert again == bundle_id == manifest.bundle_id
    assert (pointed(store, CURRENT), pointed(store, CANDIDATE)) == (in_force, bundle_id)
    assert store.written[-1] == CANDIDATE
    assert load_bundle(store, bundle_id, tmp_path / "cache").bundle_id == bundle_id


def test_what_is_in_force_already_is_no_canary(store: Recorder, tmp_path: Path) -> None:
    paths = write_bundle_files(tmp_path)
    in_force = publish(store, manifest_of(paths), paths)

    later = manifest_of(paths, created_at=CREATED_AT + timedelta(hours=1))

    assert publish(store, later, paths, as_canary=True) == in_force
    assert CANDIDATE not in store.objects


def test_the_very_first_bundle_goes_in_force_though_it_is_published_as_a_canary(
    store: Recorder, tmp_path: Path
) -> None:
    paths = write_bundle_files(tmp_path)

    bundle_id = publish(store, manifest_of(paths), paths, as_canary=True)

    assert (pointed(store, CURRENT), pointed(store, CANDIDATE)) == (bundle_id, "")


def test_a_copy_takes_the_canary_along(tmp_path: Path) -> None:
    kept, target = FolderArtifacts(tmp_path / "kept"), Recorder()
    in_force = publish_tiny(kept, tmp_path / "one")
    manifest, paths = changed(tmp_path / "two")
    publish(kept, manifest, paths, as_canary=True)

    assert replicate(kept, target) == replicate(kept, target) == in_force
    assert (pointed(target, CURRENT), pointed(target, CANDIDATE)) == (in_force, manifest.bundle_id)
    assert load_bundle(target, manifest.bundle_id, tmp_path / "cache").bundle_id == manifest.bundle_id


def test_a_bundle_is_copied_to_another_store_and_loads_there(tmp_path: Path) -> None:
    kept, target = FolderArtifacts(tmp_path / "kept"), Recorder()
    bundle_id = publish_tiny(kept, tmp_path / "files")

    assert replicate(kept, target) == bundle_id
    assert load_bundle(target, bundle_id, tmp_path / "cache").bundle_id == bundle_id

    before = dict(target.objects)
    assert replicate(kept, target) == bundle_id
    assert target.objects == before


def metrics(hybrid: float, *, popular: float = 0.1, cohorts: float = 0.15, **others: float) -> dict[str, object]:
    figures = {"hybrid": hybrid, "popular": popular, "cohorts": cohorts, **others}
    return {"methods": {name: {"all": {"recall@20": value}} for name, value in figures.items()}}


def test_the_gate_lets_a_first_bundle_pass_that_beats_the_simple_methods() -> None:
    verdict = judge(metrics(0.3), None, tolerance=0.05)

    assert verdict["passed"]
    assert verdict["champion"] is None
    require_pass(verdict)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (metrics(0.3, popular=0.3), "expected more than 0.3000 of popular"),
        (metrics(0.14), "expected more than 0.1500 of cohorts"),
    ],
)
def test_the_gate_refuses_what_does_not_beat_the_simple_methods(found: dict[str, object], reason: str) -> None:
    with pytest.raises(Conflict, match=reason) as refused:
        require_pass(judge(found, None, tolerance=0.05))
    assert refused.value.code == "gate_failed"


def test_the_gate_allows_the_tolerated_loss_against_the_champion_and_no_more() -> None:
    champion = metrics(0.40)  # 0.40 * (1 - 0.05) = 0.38

    assert judge(metrics(0.381), champion, tolerance=0.05)["passed"]
    verdict = judge(metrics(0.379), champion, tolerance=0.05)
    assert not verdict["passed"]
    assert verdict["champion_compared"] == "by its published figure"
    assert "0.3800" in verdict["reasons"][0]


def test_a_champion_measured_on_the_same_data_counts_before_its_published_figure() -> None:
    verdict = judge(metrics(0.3, champion=0.3), metrics(0.9), tolerance=0.05)

    assert verdict["passed"]
    assert verdict["champion_compared"] == "on the same data"


def test_figures_with_intervals_are_read_and_missing_ones_are_refused() -> None:
    found = metrics(0.0)
    found["methods"]["hybrid"]["all"]["recall@20"] = {"value": 0.3, "low": 0.2, "high": 0.4}  # type: ignore[index]

    assert judge(found, None, tolerance=0.05)["value"] == 0.3
    with pytest.raises(ArtifactRefused, match="methods/popular/all/recall@20"):
        judge({"methods": {"hybrid": {"all": {"recall@20": 0.3}}}}, None, tolerance=0.05)


def test_shoppers_are_loaded_from_their_lines(tmp_path: Path) -> None:
    history = {"item_ids": ["a", "b"], "orders": [2, 1], "last_on": [20.0, 21.5], "first_on": [1.0, 21.5]}
    lines = [
        json.dumps({"shopper_id": "s-1", "history": {**history, "count_orders": 3}, "cohort": 4, "consent": "full"}),
        json.dumps({"shopper_id": "s-2", "history": {}, "cohort": -1}),
    ]
    (tmp_path / "shoppers.jsonl").write_text("\n".join(lines) + "\n")
    store = MemoryShoppers()

    assert load_shoppers(tmp_path / "shoppers.jsonl", store) == 2
    assert store.load("s-1") == Shopper(
        "s-1", PurchaseHistory(("a", "b"), (2, 1), (20.0, 21.5), (1.0, 21.5), count_orders=3), cohort=4
    )
    assert store.load("s-2") == Shopper("s-2")


@pytest.mark.parametrize("line", ["{", "[]", '{"shopper_id": "s"}', '{"shopper_id": "s", "history": {"shoes": []}}'])
def test_a_line_that_is_no_shopper_is_refused(line: str) -> None:
    with pytest.raises(ArtifactRefused, match=r"shoppers\.jsonl"):
        read_shopper(line)
