"""The pointers of the artifact store: which bundle is in force and which is to be tried out.

A pointer is flipped only if it is still what the caller has read, so that of two who publish, promote or roll
back at once one wins and the other gets a Conflict. Shared by publishing (training) and promotion (the admin API).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recommender.contracts.artifacts import CURRENT, CURRENT_COPY, Pointer, pointer_from_json
from recommender.errors import ArtifactRefused, Conflict, NotFound, RecommenderError
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


def bundles_to_serve(
    store: ArtifactStore, on_refusal: Callable[[RecommenderError], None] = lambda failure: None
) -> tuple[str, ...]:
    """The bundle in force, then the one before it: from `current.json`, or from its copy where it cannot be read.

    `on_refusal` is called with the failure that the copy stands in for. Raises NotFound where nothing was published,
    ArtifactRefused where neither can be read.
    """
    try:
        pointer = read_pointer(store, CURRENT).pointer
    except (ArtifactRefused, NotFound) as failure:
        try:
            pointer = read_pointer(store, CURRENT_COPY).pointer
        except (ArtifactRefused, NotFound):
            raise failure from None
        on_refusal(failure)
    return tuple(dict.fromkeys(bundle_id for bundle_id in (pointer.bundle_id, pointer.previous) if bundle_id))


def flip(store: ArtifactStore, name: str, pointer: Pointer, *, seen: str | None) -> None:
    """Put the pointer where the file is still at the etag `seen` (None: absent). Raises Conflict."""
    _flip(store, name, pointer, seen=seen)
    if name == CURRENT:
        store.write(CURRENT_COPY, pointer.to_json())


def _flip(store: ArtifactStore, name: str, pointer: Pointer, *, seen: str | None) -> None:
    try:
        if seen is None:
            store.write(name, pointer.to_json(), if_absent=True)
        else:
            store.write(name, pointer.to_json(), if_match=seen)
    except Conflict as error:
        # A repeated request may have lost against its own first try.
        if pointed(store, name) != pointer.bundle_id:
            raise Conflict(f"{name} has been flipped by another run since this one began: {error.detail}") from error
