"""The manifest of an export: what parts there are, their rows and hashes. Without a valid one there is no export.

A part's name holds its hash: it never changes, and a later export names it again where its rows are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recommender.contracts.exports import EXPORTS, MANIFEST_VERSION, hash_of_parts
from recommender.errors import ArtifactRefused

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file; `path` is relative to the root, `fingerprint` what the engine says of its rows."""

    partition: str
    rows: int
    sha256: str
    path: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One export: its parts in order of time, its columns as (name, type), and a hash over the parts' hashes."""

    rows: int
    sha256: str
    columns: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """Times are ISO 8601, UTC. `derived` is true where some rows come from a rule and not from a shop.

    Everything that was loaded before `processed_until` is in it.
    """

    created_at: str
    data_from: str
    data_until: str
    source: str
    derived: bool
    processed_until: str
    files: Mapping[str, ExportedFile]

    @property
    def paths(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(part.path for entry in self.files.values() for part in entry.parts)

    def to_json(self) -> str:
        """Stable JSON: sorted keys, two spaces."""
        return json.dumps({"version": MANIFEST_VERSION, **asdict(self)}, indent=2, sort_keys=True) + "\n"


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_parts(columns: tuple[tuple[str, str], ...], parts: tuple[Part, ...]) -> ExportedFile:
    """The entry of an export."""
    hashed = hash_of_parts((part.partition, part.sha256) for part in parts)
    return ExportedFile(sum(part.rows for part in parts), hashed, columns, parts)


def read_manifest(root: Path) -> ExportManifest:
    """The manifest below `root`, every part of it checked. Raises ArtifactRefused naming the file."""
    try:
        text = (root / MANIFEST).read_text()
    except (OSError, ValueError) as error:
        raise ArtifactRefused(f"{root / MANIFEST} is missing or cannot be read: {error}") from error
    manifest = parse_manifest(text, str(root / MANIFEST))
    for name, entry in manifest.files.items():
        for part in entry.parts:
            path = root / part.path
            if not path.is_file() or hash_of(path) != part.sha256:
                raise ArtifactRefused(f"{path} of export {name} is missing, truncated or altered: its SHA-256 differs")
    return manifest


def parse_manifest(text: str, where: str) -> ExportManifest:
    """The manifest of this text, its parts not looked at. Raises ArtifactRefused naming `where`."""
    try:
        body: dict[str, Any] = json.loads(text)
        version = body.pop("version", 1)
        if version != MANIFEST_VERSION:
            raise ArtifactRefused(f"{where} is of version {version!r}, this code reads {MANIFEST_VERSION}")
        files = {name: _entry(entry) for name, entry in body.pop("files").items()}
        manifest = ExportManifest(**body, files=files)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactRefused(f"{where} is not an export manifest: {error}") from error
    if missing := sorted(set(EXPORTS) - set(files)):
        raise ArtifactRefused(f"{where} does not list {', '.join(missing)}")
    return manifest


def _entry(body: Mapping[str, Any]) -> ExportedFile:
    columns = tuple((name, kind) for name, kind in body["columns"])
    return of_parts(columns, tuple(Part(**part) for part in body["parts"]))
