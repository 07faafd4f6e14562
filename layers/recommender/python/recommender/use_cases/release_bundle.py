"""Put a bundle in force that was published as a canary, or take it back: one conditional flip of `current.json`.

Serving follows the pointer within its time to live, and nothing is copied or loaded here. Every call may be
repeated: what has been done already is answered as done.

Decisions: docs/decisions/experiments-operation.md (145).
"""

from __future__ import annotations

from recommender.contracts.artifacts import CANDIDATE, CURRENT, MANIFEST, Pointer, file_key, manifest_from_json
from recommender.errors import ArtifactRefused, Conflict, NotFound
from recommender.pointers import flip, read_pointer
from recommender.ports import ArtifactStore


def candidate(artifacts: ArtifactStore) -> str:
    """The bundle that was published as a canary last. Raises NotFound `no_canary_bundle`, ArtifactRefused."""
    try:
        return read_pointer(artifacts, CANDIDATE).pointer.bundle_id
    except NotFound:
        raise NotFound(
            f"no bundle was published as a canary: {CANDIDATE} does not exist; run the publish job with release=canary",
            code="no_canary_bundle",
        ) from None


def require_bundle(bundle_id: str, *, artifacts: ArtifactStore) -> None:
    """Raise NotFound `unknown_bundle` for a bundle that was never published, ArtifactRefused for one unknown to us."""
    try:
        manifest_from_json(artifacts.read(file_key(bundle_id, MANIFEST)).content)
    except NotFound:
        raise NotFound(f"bundle {bundle_id!r} was never published", code="unknown_bundle") from None


def promote_bundle(bundle_id: str, *, artifacts: ArtifactStore) -> str:
    """Put the bundle in force; returns the id of the one before it.

    Raises NotFound `unknown_bundle`, and Conflict where a newer bundle went in force meanwhile or another
    writer flips at the same time.
    """
    require_bundle(bundle_id, artifacts=artifacts)
    found = read_pointer(artifacts, CURRENT)
    before = found.pointer.bundle_id
    if before == bundle_id:
        return found.pointer.previous
    if before > bundle_id:  # ids begin with the time of publication
        raise Conflict(
            f"bundle {before} is in force and newer than {bundle_id}; publish a new canary",
            code="newer_bundle_in_force",
        )
    flip(artifacts, CURRENT, Pointer(bundle_id, before), seen=found.etag)
    return before


def roll_back_bundle(bundle_id: str, *, artifacts: ArtifactStore) -> str:
    """Take the bundle out of force: the one before it serves again; returns the id in force.

    Raises Conflict `nothing_to_roll_back` where this bundle is neither in force nor the last that was taken out,
    or where it was the first.
    """
    found = read_pointer(artifacts, CURRENT)
    pointer = found.pointer
    if bundle_id not in (pointer.bundle_id, pointer.previous) or not pointer.previous:
        raise Conflict(
            f"bundle {bundle_id} cannot be rolled back: {pointer.bundle_id} is in force, "
            f"before it {pointer.previous or 'nothing'}",
            code="nothing_to_roll_back",
        )
    if pointer.bundle_id != bundle_id:
        return pointer.bundle_id
    try:
        require_bundle(pointer.previous, artifacts=artifacts)
    except ArtifactRefused as error:
        raise Conflict(f"the bundle before {bundle_id} cannot serve: {error.detail}") from error
    flip(artifacts, CURRENT, Pointer(pointer.previous, bundle_id), seen=found.etag)
    return pointer.previous
