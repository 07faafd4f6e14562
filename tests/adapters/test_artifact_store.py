"""The artifact store's suite over memory, a folder and S3, and what only one of them can get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from recommender.adapters.folder import FolderArtifacts
from recommender.adapters.s3 import S3Artifacts
from recommender.errors import DependencyDown, NotFound

from tests.fakes.sources import MemoryArtifacts
from tests.suites.artifact_store import ArtifactStoreSuite

BUCKET = "artifacts"


class TestMemory(ArtifactStoreSuite):
    @pytest.fixture
    def store(self) -> MemoryArtifacts:
        return MemoryArtifacts()


class TestFolder(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderArtifacts:
        return FolderArtifacts(tmp_path / "artifacts")

    def test_a_key_cannot_leave_the_folder(self, store: FolderArtifacts) -> None:
        for key in ("../secret", "bundles/../../secret", "/etc/passwd", ""):
            with pytest.raises(NotFound):
                store.read(key)

    def test_a_second_store_on_the_folder_sees_the_same(self, store: FolderArtifacts) -> None:
        etag = store.write("current.json", b"one")

        assert FolderArtifacts(store.root).read("current.json").etag == etag

    def test_no_temporary_file_is_left(self, store: FolderArtifacts) -> None:
        store.write("bundles/b-1/a", b"one")

        assert [path.name for path in (store.root / "bundles/b-1").iterdir()] == ["a"]

    def test_a_folder_that_cannot_be_written_is_down(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")

        with pytest.raises(DependencyDown, match="cannot be written"):
            FolderArtifacts(tmp_path / "file").write("current.json", b"one")


class TestS3(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, aws_environment: dict[str, str]) -> S3Artifacts:
        store = S3Artifacts.connect(BUCKET)
        store._client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws_environment["AWS_REGION"]}
        )
        return store

    def test_a_missing_bucket_is_not_found(self, aws_environment: dict[str, str]) -> None:
        with pytest.raises(NotFound, match="NoSuchBucket"):
            S3Artifacts.connect("no-such-bucket").read("current.json")

    def test_a_dead_s3_is_down_and_not_missing(
        self, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

        with pytest.raises(DependencyDown):
            S3Artifacts.connect(BUCKET).read("current.json")
