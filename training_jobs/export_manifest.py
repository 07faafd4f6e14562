"""What the exports say of themselves: `manifest.json`, refused where it is of an unknown version or contradicts itself.

Version 2 lists the parts of each export by month, with a hash over their hashes. Version 1 has one file an export.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recommender.contracts.exports import ALL, MANIFEST_VERSION, hash_of_parts
from recommender.errors import ArtifactRefused

MANIFEST = "manifest.json"
READ_BY_JOBS = ("purchases", "items", "shoppers", "session_events")
KNOWN_VERSIONS = (1, MANIFEST_VERSION)


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One Parquet file; `partition` is its month, as 2026-01, or `all`."""

    path: str
    rows: int
    sha256: str
    partition: str = ALL


@dataclass(frozen=True, slots=True)
class ExportEntry:
    """One export: its files in order of time."""

    rows: int
    sha256: str
    parts: tuple[PartEntry, ...]


@dataclass(frozen=True, slots=True)
class TrainingManifest:
    """Times are naive UTC. `derived` is true where some rows come from a rule and not from a shop."""

    data_from: datetime
    data_until: datetime
    derived: bool
    files: Mapping[str, ExportEntry]


def read_manifest(root: Path) -> TrainingManifest:
    """Read and check `manifest.json`; the files are not opened. Raises ArtifactRefused."""
    path = root / MANIFEST
    body = _body(path)
    version = body.get("version", 1)
    if version not in KNOWN_VERSIONS:
        known = ", ".join(map(str, KNOWN_VERSIONS))
        raise ArtifactRefused(f"{path} is of version {version!r}, this code reads {known}; export again or update it")
    wanted = ("data_from", "data_until", "files")
    if missing := [name for name in wanted if name not in body]:
        raise ArtifactRefused(f"{path} lacks {', '.join(missing)}")
    if not body["data_until"]:
        raise ArtifactRefused(f"{path} says of no window: the warehouse had no purchases when it was written")
    try:
        files = {name: _entry(entry) for name, entry in body["files"].items()}
        window = (_naive_utc(body["data_from"]), _naive_utc(body["data_until"]))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ArtifactRefused(f"{path} is not a manifest of exports: {type(error).__name__} {error}") from error
    for name, entry in files.items():
        _check(path, name, entry, hashes_parts=version != 1)
    return TrainingManifest(*window, bool(body.get("derived", False)), files)


def data_hash(manifest: TrainingManifest) -> str:
    """SHA-256 over the names and hashes of what jobs read. Raises ArtifactRefused where one of them is not listed."""
    if missing := [name for name in READ_BY_JOBS if name not in manifest.files]:
        listed = ", ".join(sorted(manifest.files))
        raise ArtifactRefused(f"{MANIFEST} does not list {', '.join(missing)}; it lists {listed}")
    hashed = "".join(f"{name} {manifest.files[name].sha256}\n" for name in READ_BY_JOBS)
    return hashlib.sha256(hashed.encode()).hexdigest()


def hash_of_entries(parts: Sequence[PartEntry]) -> str:
    """The hash of an export by its parts."""
    return hash_of_parts((part.partition, part.sha256) for part in parts)


def _body(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text())
    except OSError as error:
        raise ArtifactRefused(f"{path} cannot be read: {error.strerror}; expected the warehouse's export") from error
    except ValueError as error:
        raise ArtifactRefused(f"{path} is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ArtifactRefused(f"{path} is not a JSON object")
    return body


def _entry(body: Mapping[str, Any]) -> ExportEntry:
    parts = body.get("parts", (body,))
    names = ("path", "rows", "sha256", "partition")
    entries = (PartEntry(**{name: part[name] for name in names if name in part}) for part in parts)
    return ExportEntry(int(body["rows"]), str(body["sha256"]), tuple(entries))


def _check(path: Path, name: str, entry: ExportEntry, *, hashes_parts: bool) -> None:
    if not entry.parts:
        raise ArtifactRefused(f"{path} lists no part of {name}")
    for kind in ("path", "sha256"):  # the same rows under another name would count twice as well
        values = [getattr(part, kind) for part in entry.parts]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ArtifactRefused(f"{path} lists a part of {name} twice: {kind} {twice[0]}")
    for part in entry.parts:
        if Path(part.path).is_absolute() or ".." in Path(part.path).parts:
            raise ArtifactRefused(f"{path} lists {part.path}, expected a path below its folder")
    counted = sum(part.rows for part in entry.parts)
    if counted != entry.rows:
        raise ArtifactRefused(f"{name} has {counted} rows in {len(entry.parts)} parts, {path} says {entry.rows}")
    if hashes_parts and hash_of_entries(entry.parts) != entry.sha256:
        months = ", ".join(part.partition for part in entry.parts)
        raise ArtifactRefused(f"{path}: the hash of {name} is not that of its parts {months}")


def _naive_utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
