"""Publishing a bundle: collect, describe, upload what is new, flip the pointer.

Nothing that is published is ever changed: files are written if absent, the manifest last, and
`current.json` is flipped only if it is still what this run has read. Publishing the same files
again therefore changes nothing, and a run that dies halfway leaves the old bundle in force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recommender.adapters.bundle_files import current_bundle_id, file_key, read_manifest
from recommender.adapters.onnx import OnnxModel
from recommender.contracts.artifacts import CURRENT, MANIFEST, REQUIRED_FILES, FileSpec, Manifest
from recommender.domain.shopper import PurchaseHistory, Shopper
from recommender.errors import ArtifactRefused, Conflict, NotFound
from recommender.ports import ArtifactStore, ShopperStore

SHOPPERS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Origin:
    """What a manifest says of where its files come from. Times are RFC 3339 UTC."""

    git_commit: str
    code_hash: str
    data_hash: str
    data_from: str
    data_until: str


def collect_files(folders: Sequence[Path]) -> dict[str, Path]:
    """name -> path of every file a bundle needs, from the jobs' folders.

    Raises ArtifactRefused where one is missing, or where two jobs wrote different files of one name.
    """
    found: dict[str, Path] = {}
    for name in REQUIRED_FILES:
        paths = [folder / name for folder in folders if (folder / name).is_file()]
        if not paths:
            raise ArtifactRefused(
                f"no job has written {name}; looked in {', '.join(str(folder) for folder in folders)}"
            )
        if len({_sha256(path) for path in paths}) > 1:
            raise ArtifactRefused(f"{name} differs between {' and '.join(str(path) for path in paths)}")
        found[name] = paths[0]
    return found


def describe_files(paths: Mapping[str, Path]) -> dict[str, FileSpec]:
    """Hash, size, and for an ONNX file its tensors. Raises ArtifactRefused for a model that does not load."""
    return {name: _describe(path) for name, path in paths.items()}


def build_manifest(
    files: Mapping[str, FileSpec],
    origin: Origin,
    *,
    created_at: datetime,
    features: Sequence[str],
    metrics: Mapping[str, Any],
    gate: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Manifest:
    """The manifest; its id is the time and the first 12 hex of the SHA-256 over its files' hashes."""
    moment = created_at.astimezone(UTC)
    return Manifest(
        bundle_id=f"{moment:%Y%m%dT%H%M%SZ}-{content_digest(files)}",
        created_at=moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        git_commit=origin.git_commit,
        data_from=origin.data_from,
        data_until=origin.data_until,
        data_hash=origin.data_hash,
        code_hash=origin.code_hash,
        files=dict(sorted(files.items())),
        features=tuple(features),
        metrics=metrics,
        gate=gate,
        settings=settings,
    )


def content_digest(files: Mapping[str, FileSpec]) -> str:
    """12 hex digits that name these files, whatever their order."""
    lines = "".join(f"{name} {files[name].sha256}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def champion_manifest(store: ArtifactStore) -> Manifest | None:
    """The manifest in force, or None where there is none that this code understands."""
    try:
        return read_manifest(store, current_bundle_id(store))
    except (NotFound, ArtifactRefused):
        return None


def publish(store: ArtifactStore, manifest: Manifest, paths: Mapping[str, Path]) -> str:
    """Upload the bundle, put it in force and return its id; the id in force where its files are there already."""
    pointer = _pointer(store)
    champion = champion_manifest(store)
    if champion is not None and content_digest(champion.files) == content_digest(manifest.files):
        return champion.bundle_id
    for name, path in paths.items():
        _write_once(store, file_key(manifest.bundle_id, name), path.read_bytes())
    _write_once(store, file_key(manifest.bundle_id, MANIFEST), manifest.to_json().encode())
    _flip(store, manifest.bundle_id, pointer)
    return manifest.bundle_id


def replicate(source: ArtifactStore, target: ArtifactStore) -> str:
    """Copy the bundle in force into another store and put it in force there; returns its id."""
    bundle_id = current_bundle_id(source)
    manifest = read_manifest(source, bundle_id)
    pointer = _pointer(target)
    for name in manifest.files:
        key = file_key(bundle_id, name)
        _write_once(target, key, source.read(key).content)
    key = file_key(bundle_id, MANIFEST)
    _write_once(target, key, source.read(key).content)
    if not _points_to(target, bundle_id):
        _flip(target, bundle_id, pointer)
    return bundle_id


def load_shoppers(path: Path, store: ShopperStore) -> int:
    """Store every shopper of a shoppers.jsonl; returns how many. Running it again changes nothing."""
    count = 0
    with path.open() as lines:
        batch: list[Shopper] = []
        for line in lines:
            batch.append(read_shopper(line))
            if len(batch) == SHOPPERS_AT_ONCE:
                store.save(batch)
                count, batch = count + len(batch), []
        store.save(batch)
    return count + len(batch)


def read_shopper(line: str) -> Shopper:
    """One line of shoppers.jsonl. Raises ArtifactRefused."""
    try:
        body = json.loads(line)
        history = PurchaseHistory(**{name: _frozen(value) for name, value in body.pop("history").items()})
        return Shopper(**body, history=history)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactRefused(f"not a line of shoppers.jsonl: {line[:80]!r} ({error!r})") from error


def _describe(path: Path) -> FileSpec:
    spec = FileSpec(_sha256(path), path.stat().st_size)
    if path.suffix != ".onnx":
        return spec
    model = OnnxModel(path)
    return FileSpec(spec.sha256, spec.size_bytes, model.inputs, model.outputs)


def _write_once(store: ArtifactStore, key: str, content: bytes) -> None:
    """Write if absent; the same content there already is as good."""
    try:
        store.write(key, content, if_absent=True)
    except Conflict:
        if store.read(key).content != content:
            raise Conflict(f"{key} is published with other content and is never replaced") from None


def _pointer(store: ArtifactStore) -> str | None:
    try:
        return store.read(CURRENT).etag
    except NotFound:
        return None


def _points_to(store: ArtifactStore, bundle_id: str) -> bool:
    try:
        return current_bundle_id(store) == bundle_id
    except (NotFound, ArtifactRefused):
        return False


def _flip(store: ArtifactStore, bundle_id: str, seen: str | None) -> None:
    """Point to the bundle, if the pointer is still at the etag `seen` (None: absent). Raises Conflict."""
    content = json.dumps({"bundle_id": bundle_id}).encode()
    try:
        if seen is None:
            store.write(CURRENT, content, if_absent=True)
        else:
            store.write(CURRENT, content, if_match=seen)
    except Conflict as error:
        # A repeated request may have lost against its own first try.
        if not _points_to(store, bundle_id):
            raise Conflict(f"another run has published since this one began: {error.detail}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
