"""What every artifact store promises. A test module subclasses this and gives the fixture `store`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from recommender.errors import Conflict, NotFound
from recommender.ports import ArtifactStore

WRITERS = 6


class ArtifactStoreSuite:
    """Run over memory, a folder and S3."""

    def test_what_is_written_is_read_again_with_the_same_etag(self, store: ArtifactStore) -> None:
        etag = store.write("bundles/b-1/model.onnx", b"\x00\x01model")

        stored = store.read("bundles/b-1/model.onnx")

        assert stored.content == b"\x00\x01model"
        assert stored.etag == etag

    def test_an_unknown_key_is_not_found(self, store: ArtifactStore) -> None:
        with pytest.raises(NotFound, match=r"current\.json"):
            store.read("current.json")

    def test_a_write_without_a_condition_replaces(self, store: ArtifactStore) -> None:
        first = store.write("current.json", b"one")
        second = store.write("current.json", b"two")

        assert store.read("current.json").content == b"two"
        assert first != second

    def test_an_empty_object_is_an_object(self, store: ArtifactStore) -> None:
        store.write("empty", b"")

        assert store.read("empty").content == b""

    def test_a_write_if_absent_never_replaces(self, store: ArtifactStore) -> None:
        store.write("bundles/b-1/manifest.json", b"first", if_absent=True)

        with pytest.raises(Conflict):
            store.write("bundles/b-1/manifest.json", b"second", if_absent=True)
        assert store.read("bundles/b-1/manifest.json").content == b"first"

    def test_a_write_if_match_replaces_only_what_was_read(self, store: ArtifactStore) -> None:
        read = store.write("current.json", b"one")
        newer = store.write("current.json", b"two", if_match=read)

        with pytest.raises(Conflict):
            store.write("current.json", b"three", if_match=read)
        assert store.read("current.json").content == b"two"
        assert store.read("current.json").etag == newer

    def test_a_write_if_match_of_an_object_that_is_gone_loses(self, store: ArtifactStore) -> None:
        with pytest.raises(Conflict):
            store.write("current.json", b"one", if_match='"0123456789abcdef0123456789abcdef"')

    def test_of_several_writers_with_one_etag_exactly_one_wins(self, store: ArtifactStore) -> None:
        read = store.write("current.json", b"start")

        with ThreadPoolExecutor(WRITERS) as pool:
            outcomes = list(
                pool.map(lambda n: _try(store, "current.json", b"by %d" % n, if_match=read), range(WRITERS))
            )

        winner = [n for n, won in enumerate(outcomes) if won]
        assert len(winner) == 1
        assert store.read("current.json").content == b"by %d" % winner[0]

    def test_of_several_first_writers_exactly_one_wins(self, store: ArtifactStore) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            outcomes = list(pool.map(lambda n: _try(store, "first", b"%d" % n, if_absent=True), range(WRITERS)))

        assert sum(outcomes) == 1
        assert store.read("first").content == b"%d" % outcomes.index(True)


def _try(
    store: ArtifactStore, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False
) -> bool:
    try:
        store.write(key, content, if_match=if_match, if_absent=if_absent)
    except Conflict:
        return False
    return True
