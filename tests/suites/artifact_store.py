"""What every artifact store promises. A test module subclasses this and gives the fixture `store`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from recommender.contracts.artifacts import POINTERS, Pointer
from recommender.errors import Conflict, NotFound
from recommender.pointers import flip, pointed, pointer_etag, read_pointer
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

    @pytest.mark.parametrize("name", POINTERS)
    def test_a_pointer_is_flipped_from_what_was_read_and_says_what_it_replaced(
        self, store: ArtifactStore, name: str
    ) -> None:
        assert (pointed(store, name), pointer_etag(store, name)) == ("", None)
        flip(store, name, Pointer("b-1"), seen=None)
        first = read_pointer(store, name)

        flip(store, name, Pointer("b-2", "b-1"), seen=first.etag)

        assert read_pointer(store, name).pointer == Pointer("b-2", "b-1")
        with pytest.raises(Conflict, match="flipped by another run"):
            flip(store, name, Pointer("b-3", "b-1"), seen=first.etag)
        with pytest.raises(Conflict, match="flipped by another run"):
            flip(store, name, Pointer("b-3"), seen=None)
        assert pointed(store, name) == "b-2"

    def test_the_two_pointers_move_apart(self, store: ArtifactStore) -> None:
        for name in POINTERS:
            flip(store, name, Pointer(f"of {name}"), seen=None)

        assert [pointed(store, name) for name in POINTERS] == [f"of {name}" for name in POINTERS]

    def test_a_flip_that_is_repeated_has_happened(self, store: ArtifactStore) -> None:
        flip(store, "canary.json", Pointer("b-1"), seen=None)
        flip(store, "canary.json", Pointer("b-1"), seen=None)

        assert pointed(store, "canary.json") == "b-1"


def _try(
    store: ArtifactStore, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False
) -> bool:
    try:
        store.write(key, content, if_match=if_match, if_absent=if_absent)
    except Conflict:
        return False
    return True
