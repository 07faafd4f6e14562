"""Publishing a bundle: collect and describe its files, upload what is new, and flip the pointer.

Published files are never changed: files are written if absent, the manifest last, and the pointer (`current.json`, or
`canary.json` for a bundle on trial) flips only if it is still what this run has read. Publishing the same files again
changes nothing, and a run that dies halfway leaves the old bundle in force. Beside the pointer lie the standby lists:
the bundle's precomputed lists and most popular items, for a time when no bundle can be loaded.

Decisions: docs/decisions/bundle.md (043).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.adapters.bundle_files import read_manifest
from recommender.adapters.onnx import OnnxModel
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import (
    CANDIDATE,
    CURRENT,
    MANIFEST,
    POINTERS,
    REQUIRED_FILES,
    STANDBY,
    FileSpec,
    Manifest,
    Pointer,
    file_key,
)
from recommender.domain.serving.standby import Standby, standby_from_json
from recommender.domain.serving.visit import PurchaseHistory, Shopper
from recommender.errors import ArtifactRefused, Conflict, NotFound
from recommender.pointers import flip, pointed, pointer_etag, read_pointer
from recommender.ports import ArtifactStore, ShopperStore

SHOPPERS_AT_ONCE = 500
POPULAR: Final = 200  # items that fill the places which the lists leave open


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of the files, for the manifest. Times are RFC 3339 UTC."""

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
    return _manifest_at(store, CURRENT)


def publish(store: ArtifactStore, manifest: Manifest, paths: Mapping[str, Path], *, as_canary: bool = False) -> str:
    """Upload the bundle, flip a pointer to it and return its id, or the id under which its files are published already.

    A canary is pointed to by `canary.json` and changes nothing that is served. The very first bundle has no rival and
    goes in force at once.
    """
    champion = champion_manifest(store)
    name = CANDIDATE if as_canary and champion is not None else CURRENT
    etag, before = pointer_etag(store, name), pointed(store, name)
    for known in (champion, _manifest_at(store, name)):
        if known is not None and content_digest(known.files) == content_digest(manifest.files):
            return known.bundle_id
    standby = standby_of(paths).to_json()
    for file, path in paths.items():
        _write_once(store, file_key(manifest.bundle_id, file), path.read_bytes())
    _write_once(store, file_key(manifest.bundle_id, MANIFEST), manifest.to_json().encode())
    if name == CURRENT or not _holds(store, STANDBY):
        store.write(STANDBY, standby)
    flip(store, name, Pointer(manifest.bundle_id, before), seen=etag)
    return manifest.bundle_id


def replicate(source: ArtifactStore, target: ArtifactStore) -> str:
    """Copy the bundle in force, and the canary where there is one, with their pointers; returns the id in force.

    Raises NotFound where nothing is in force.
    """
    in_force = read_pointer(source, CURRENT).pointer.bundle_id
    if _holds(source, STANDBY):
        target.write(STANDBY, source.read(STANDBY).content)
    for name in POINTERS:
        if pointed(source, name):
            _copy(source, target, name)
    return in_force


def _copy(source: ArtifactStore, target: ArtifactStore, name: str) -> None:
    bundle_id = pointed(source, name)
    etag, before = pointer_etag(target, name), pointed(target, name)
    for file in (*read_manifest(source, bundle_id).files, MANIFEST):  # the manifest last
        key = file_key(bundle_id, file)
        _write_once(target, key, source.read(key).content)
    if before != bundle_id:
        flip(target, name, Pointer(bundle_id, before), seen=etag)


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
    """Write if absent; the same content at the key counts as written."""
    try:
        store.write(key, content, if_absent=True)
    except Conflict:
        if store.read(key).content != content:
            raise Conflict(f"{key} is published with other content and is never replaced") from None


def _holds(store: ArtifactStore, key: str) -> bool:
    try:
        store.read(key)
    except NotFound:
        return False
    return True


def _manifest_at(store: ArtifactStore, name: str) -> Manifest | None:
    try:
        return read_manifest(store, read_pointer(store, name).pointer.bundle_id)
    except (NotFound, ArtifactRefused):
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def standby_of(paths: Mapping[str, Path]) -> Standby:
    """The lists from a bundle's files, without items sold out at the time. Raises ArtifactRefused if empty."""
    item_ids = [bytes(item_id).decode() for item_id in np.load(paths[names.ITEM_IDS], allow_pickle=False)]
    place = {item_id: row for row, item_id in enumerate(item_ids)}
    with np.load(paths[names.ITEM_TABLE], allow_pickle=False) as table:
        in_stock = table["in_stock"]
    with np.load(paths[names.PRIOR], allow_pickle=False) as prior:
        best_first = np.argsort(-prior["log_share"], kind="stable")
    popular = [item_ids[row] for row in best_first[in_stock[best_first]][:POPULAR].tolist()]
    lists = {
        name: [item_id for item_id in listed if item_id in place and in_stock[place[item_id]]]
        for name, listed in json.loads(paths[names.FALLBACK].read_text()).items()
    }
    wanted = dict.fromkeys([*popular, *(item_id for listed in lists.values() for item_id in listed)])
    facts = _facts(paths, [place[item_id] for item_id in wanted])
    return standby_from_json(json.dumps({"items": facts, "lists": lists}).encode())


def _facts(paths: Mapping[str, Path], rows: list[int]) -> list[dict[str, Any]]:
    offsets = np.load(paths[names.CATALOGUE_OFFSETS], allow_pickle=False)
    with paths[names.CATALOGUE].open("rb") as lines:
        found = []
        for row in rows:
            lines.seek(int(offsets[row]))
            found.append(json.loads(lines.read(int(offsets[row + 1] - offsets[row]))))
    return found
