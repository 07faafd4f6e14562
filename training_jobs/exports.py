"""The warehouse's exports as data frames: the only data a training job reads.

A root holds `manifest.json` and one folder of Parquet per export. Reading checks the manifest, the
files' hashes, the columns and the row counts, so a half-written export stops a job in its first
second and not in its last. Times are naive UTC.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from recommender.contracts.exports import EXPORT_VERSION, EXPORTS, OPTIONAL_COLUMNS
from recommender.domain.arrays import Ids
from recommender.errors import ArtifactRefused

MANIFEST = "manifest.json"
READ_BY_JOBS = ("purchases", "items", "shoppers", "session_events")
POLARS_TYPES: Mapping[str, Any] = {
    "string": pl.String,
    "int32": pl.Int32,
    "int64": pl.Int64,
    "float32": pl.Float32,
    "float64": pl.Float64,
    "bool": pl.Boolean,
    "timestamp[us]": pl.Datetime("us"),
}


@dataclass(frozen=True, slots=True)
class Exports:
    """One consistent set of exports; columns are contracts/exports.py. Purchases and events are in order of time."""

    purchases: pl.DataFrame
    items: pl.DataFrame
    shoppers: pl.DataFrame
    session_events: pl.DataFrame
    data_from: datetime  # naive UTC, as the frames' times
    data_until: datetime
    data_hash: str  # SHA-256 over the names and hashes of the files
    derived: bool = False  # true where some of it was derived by a rule and not observed

    @property
    def item_ids(self) -> Ids:
        """(I,) sorted utf-8 ids: the row of an item in every array of the bundle."""
        return np.unique(np.array([item_id.encode() for item_id in self.items["item_id"]], dtype=np.bytes_))


def read_exports(root: Path) -> Exports:
    """Read and check the exports below `root`. Raises ArtifactRefused, naming the file and what is wrong with it."""
    manifest = _read_manifest(root)
    files: Mapping[str, Mapping[str, Any]] = manifest["files"]
    frames = {name: _read_frame(root, name, files) for name in READ_BY_JOBS}
    hashed = "".join(f"{name} {files[name]['sha256']}\n" for name in READ_BY_JOBS)
    return Exports(
        purchases=frames["purchases"].sort("purchased_at", maintain_order=True),
        items=frames["items"],
        shoppers=frames["shoppers"],
        session_events=frames["session_events"].sort("event_time", maintain_order=True),
        data_from=_naive_utc(manifest["data_from"]),
        data_until=_naive_utc(manifest["data_until"]),
        data_hash=hashlib.sha256(hashed.encode()).hexdigest(),
        derived=bool(manifest.get("derived", False)),
    )


def write_exports(root: Path, exports: Exports, *, source: str, created_at: datetime) -> None:
    """Write frames in the warehouse's own layout, for data that never was in a warehouse."""
    files: dict[str, dict[str, Any]] = {}
    for name in READ_BY_JOBS:
        frame: pl.DataFrame = getattr(exports, name)
        path = root / name / EXPORT_VERSION / "part-0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        _typed(name, frame).write_parquet(path)
        files[name] = {"rows": frame.height, "sha256": _sha256(path), "path": str(path.relative_to(root))}
    manifest = {
        "created_at": created_at.isoformat(),
        "data_from": exports.data_from.isoformat(),
        "data_until": exports.data_until.isoformat(),
        "source": source,
        "derived": exports.derived,
        "files": files,
    }
    (root / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except OSError as error:
        raise ArtifactRefused(f"{path} cannot be read: {error.strerror}; expected the warehouse's export") from error
    except ValueError as error:
        raise ArtifactRefused(f"{path} is not JSON: {error}") from error
    wanted = ("data_from", "data_until", "files")
    missing = [name for name in wanted if name not in manifest] if isinstance(manifest, dict) else list(wanted)
    if missing:
        raise ArtifactRefused(f"{path} lacks {', '.join(missing)}")
    return dict(manifest)


def _read_frame(root: Path, name: str, files: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    entry = files.get(name)
    if entry is None:
        raise ArtifactRefused(f"{root / MANIFEST} does not list {name}; it lists {', '.join(sorted(files))}")
    parts = entry.get("parts", (entry,))
    if not parts:
        raise ArtifactRefused(f"{root / MANIFEST} lists no part of {name}")
    frame = pl.concat([_read_part(root, name, part) for part in parts])
    if frame.height != entry["rows"]:
        raise ArtifactRefused(f"{name} has {frame.height} rows in {len(parts)} parts, {MANIFEST} says {entry['rows']}")
    return frame


def _read_part(root: Path, name: str, part: Mapping[str, Any]) -> pl.DataFrame:
    path = root / part["path"]
    if not path.is_file():
        raise ArtifactRefused(f"{path} does not exist, but {MANIFEST} lists it")
    if _sha256(path) != part["sha256"]:
        raise ArtifactRefused(f"{path} has another SHA-256 than {MANIFEST} says: it was altered or cut")
    frame = pl.read_parquet(path)
    missing = [column for column, _ in EXPORTS[name] if column not in frame.columns]
    if missing:
        raise ArtifactRefused(f"{path} lacks the columns {', '.join(missing)}")
    if frame.height != part["rows"]:
        raise ArtifactRefused(f"{path} has {frame.height} rows, {MANIFEST} says {part['rows']}")
    return _typed(name, frame)


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The export's columns in their types, and those of its optional ones that are there."""
    optional = [entry for entry in OPTIONAL_COLUMNS.get(name, ()) if entry[0] in frame.columns]
    return frame.select(pl.col(column).cast(POLARS_TYPES[kind]) for column, kind in (*EXPORTS[name], *optional))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _naive_utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
