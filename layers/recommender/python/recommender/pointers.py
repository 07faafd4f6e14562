"""The pointers of the artifact store: which bundle is in force and which is to be tried out.

A pointer is flipped only if it is still what the caller has read, so that of two who publish, promote or roll
back at once one wins and the other is told. Shared by publishing (training) and promotion (the admin API).
"""

from __future__ import annotations

from dataclasses import dataclass

from recommender.contracts.artifacts import Pointer, pointer_from_json
from recommender.errors import ArtifactRefused, Conflict, NotFound
from recommender.ports import ArtifactStore


@dataclass(frozen=True, slots=True)
class ReadPointer:
    """A pointer and the etag it was read at."""

    pointer: Pointer
    etag: str


def read_pointer(store: ArtifactStore, name: str) -> ReadPointer:
    """The pointer of this name. Raises NotFound where there is none, ArtifactRefused."""
    stored = store.read(name)
    return ReadPointer(pointer_from_json(stored.content, name), stored.etag)


def pointer_etag(store: ArtifactStore, name: str) -> str | None:
    """The etag to flip from, also of a pointer that cannot be read; None where there is none."""
    try:
        return store.read(name).etag
    except NotFound:
        return None


def pointed(store: ArtifactStore, name: str) -> str:
    """The id that a pointer names; "" where it is missing or cannot be read."""
    try:
        return read_pointer(store, name).pointer.bundle_id
    except (NotFound, ArtifactRefused):
        return ""


def flip(store: ArtifactStore, name: str, pointer: Pointer, *, seen: str | None) -> None:
    """Put the pointer where the file is still at the etag `seen` (None: absent). Raises Conflict."""
    try:
        if seen is None:
            store.write(name, pointer.to_json(), if_absent=True)
        else:
            store.write(name, pointer.to_json(), if_match=seen)
    except Conflict as error:
        # A repeated request may have lost against its own first try.
        if pointed(store, name) != pointer.bundle_id:
            raise Conflict(f"{name} has been flipped by another run since this one began: {error.detail}") from error
