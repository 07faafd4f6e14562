"""The manifest of an export: what files there are, their rows and hashes. Without a valid one there is no export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recommender.contracts.exports import EXPORTS
from recommender.errors import ArtifactRefused

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One Parquet file; `path` is relative to the root."""

    rows: int
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """Times are ISO 8601, UTC. `derived` is true where some rows come from a rule and not from a shop."""

    created_at: str
    data_from: str
    data_until: str
    source: str
    derived: bool
    files: Mapping[str, ExportedFile]

    def to_json(self) -> str:
        """Stable JSON: sorted keys, two spaces."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def describe_file(root: Path, path: Path, rows: int) -> ExportedFile:
    """The manifest's entry for a file below `root`."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ExportedFile(rows, digest, path.relative_to(root).as_posix())


def read_manifest(root: Path) -> ExportManifest:
    """The manifest below `root`, every file of it checked. Raises ArtifactRefused naming the file."""
    try:
        body: dict[str, Any] = json.loads((root / MANIFEST).read_text())
        files = {name: ExportedFile(**entry) for name, entry in body.pop("files").items()}
        manifest = ExportManifest(**body, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactRefused(f"{root / MANIFEST} is missing or not an export manifest: {error}") from error
    if missing := sorted(set(EXPORTS) - set(files)):
        raise ArtifactRefused(f"{root / MANIFEST} does not list {', '.join(missing)}")
    for name, entry in files.items():
        path = root / entry.path
        if not path.is_file() or describe_file(root, path, entry.rows) != entry:
            raise ArtifactRefused(f"{path} of export {name} is missing, truncated or altered: its SHA-256 differs")
    return manifest
