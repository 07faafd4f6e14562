"""The warehouse's exports as data frames: the only data a training job reads.

A root holds `manifest.json` and one folder of Parquet per export. Reading checks the manifest, the files' hashes,
columns, row counts and months, the window and, where a job asks for it, how old the data are: what is half written,
mixed up or stale stops a job in its first seconds and not in its last. Times are naive UTC.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from recommender.contracts.exports import (
    ALL,
    EXPORT_VERSION,
    EXPORTS,
    MANIFEST_VERSION,
    OPTIONAL_COLUMNS,
    ORDER,
    time_of,
)
from recommender.domain.models.arrays import Ids
from recommender.errors import ArtifactRefused

from training_jobs.environment import METRICS, Freshness, JobEnvironment, read_metrics
from training_jobs.export_days import DATA_HASH, chosen_export
from training_jobs.export_manifest import (
    MANIFEST,
    READ_BY_JOBS,
    ExportEntry,
    PartEntry,
    TrainingManifest,
    data_hash,
    hash_of_entries,
    read_manifest,
)
from training_jobs.graph import CONTENT, EXPORTS_CHANNEL

A_DAY = timedelta(days=1)
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


def read_exports(root: Path, freshness: Freshness | None = None, *, learnt_from: str = "") -> Exports:
    """Read and check the exports of `root`. Raises ArtifactRefused, naming the file and what is wrong with it.

    `root` is an export, or holds one a day, of which the newest is read, or the one of hash `learnt_from`. With
    `freshness` data that end too long before its day are refused as well, before any file is read.
    """
    root = chosen_export(root, learnt_from=learnt_from)
    manifest = read_manifest(root)
    if freshness is not None:
        _check_age(root, manifest.data_until, freshness)
    frames = {name: _read_frame(root, name, manifest.files) for name in READ_BY_JOBS}
    purchases = frames["purchases"].sort("purchased_at", maintain_order=True)
    _check_window(root, manifest, purchases)
    return Exports(
        purchases=purchases,
        items=frames["items"],
        shoppers=frames["shoppers"],
        session_events=frames["session_events"].sort("event_time", maintain_order=True),
        data_from=manifest.data_from,
        data_until=manifest.data_until,
        data_hash=data_hash(manifest),
        derived=manifest.derived,
    )


def exports_of(environment: JobEnvironment) -> Exports:
    """The exports of the job's run: those that its first job has read, which says so in its metrics."""
    first = environment.channels.get(CONTENT.name)
    learnt_from = read_metrics(first).get(DATA_HASH, "") if first and (first / METRICS).is_file() else ""
    return read_exports(environment.channel(EXPORTS_CHANNEL), environment.freshness, learnt_from=learnt_from)


def write_exports(root: Path, exports: Exports, *, source: str, created_at: datetime) -> None:
    """Write frames in the warehouse's own layout, for data that never was in a warehouse."""
    files: dict[str, dict[str, Any]] = {}
    for name in READ_BY_JOBS:
        frame: pl.DataFrame = getattr(exports, name)
        path = root / name / EXPORT_VERSION / "part-0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        _typed(name, frame).write_parquet(path)
        part = PartEntry(path.relative_to(root).as_posix(), frame.height, _sha256(path))
        files[name] = {"rows": frame.height, "sha256": hash_of_entries([part]), "parts": [asdict(part)]}
    manifest = {
        "version": MANIFEST_VERSION,
        "created_at": created_at.isoformat(),
        "data_from": exports.data_from.isoformat(),
        "data_until": exports.data_until.isoformat(),
        "source": source,
        "derived": exports.derived,
        "files": files,
    }
    (root / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def _check_age(root: Path, data_until: datetime, freshness: Freshness) -> None:
    oldest = freshness.day - timedelta(days=freshness.max_age_days)
    if data_until.date() < oldest:
        raise ArtifactRefused(
            f"the purchases of {root} end on {data_until.date()}, expected {oldest} or later:"
            f" at most {freshness.max_age_days} days before {freshness.day}"
        )


def _check_window(root: Path, manifest: TrainingManifest, purchases: pl.DataFrame) -> None:
    """The purchases lie in the window, and reach to within a day of both its ends."""
    if purchases.is_empty():
        raise ArtifactRefused(f"{root} has no purchases; expected some from {manifest.data_from} on")
    first, last = purchases["purchased_at"][0], purchases["purchased_at"][-1]
    starts = manifest.data_from <= first < manifest.data_from + A_DAY
    ends = manifest.data_until - A_DAY <= last <= manifest.data_until
    if not (starts and ends):
        said = f"{manifest.data_from} to {manifest.data_until}"
        raise ArtifactRefused(f"{root / MANIFEST} says the data are from {said}, but the purchases {first} to {last}")


def _read_frame(root: Path, name: str, files: Mapping[str, ExportEntry]) -> pl.DataFrame:
    entry = files.get(name)
    if entry is None:
        raise ArtifactRefused(f"{root / MANIFEST} does not list {name}; it lists {', '.join(sorted(files))}")
    frame = pl.concat([_read_part(root, name, part) for part in entry.parts])
    if len({part.partition for part in entry.parts}) < len(entry.parts):  # months that were written in parallel
        return frame.sort(ORDER[name], nulls_last=True)
    return frame


def _read_part(root: Path, name: str, part: PartEntry) -> pl.DataFrame:
    path = root / part.path
    if not path.is_file():
        raise ArtifactRefused(f"{path} does not exist, but {MANIFEST} lists it")
    if _sha256(path) != part.sha256:
        raise ArtifactRefused(f"{path} has another SHA-256 than {MANIFEST} says: it was altered or cut")
    frame = pl.read_parquet(path)
    missing = [column for column, _ in EXPORTS[name] if column not in frame.columns]
    if missing:
        raise ArtifactRefused(f"{path} lacks the columns {', '.join(missing)}")
    if frame.height != part.rows:
        raise ArtifactRefused(f"{path} has {frame.height} rows, {MANIFEST} says {part.rows}")
    frame = _typed(name, frame)
    _check_month(path, name, part.partition, frame)
    return frame


def _check_month(path: Path, name: str, partition: str, frame: pl.DataFrame) -> None:
    time = time_of(name)
    if partition == ALL or time is None or frame.is_empty():
        return
    first, last = frame[time].min(), frame[time].max()
    if any(f"{moment:%Y-%m}" != partition for moment in (first, last)):
        raise ArtifactRefused(f"{path} has rows from {first} to {last}, but {MANIFEST} says it is {partition}")


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The export's columns in their types, and those of its optional ones that are there."""
    optional = [entry for entry in OPTIONAL_COLUMNS.get(name, ()) if entry[0] in frame.columns]
    return frame.select(
        _as_is_meant(frame.schema[column], column).cast(POLARS_TYPES[kind])
        for column, kind in (*EXPORTS[name], *optional)
    )


def _as_is_meant(found: pl.DataType, column: str) -> pl.Expr:
    """Snowflake writes whole numbers as decimals, and times as microseconds since 1970 among them."""
    return pl.col(column).cast(pl.Int64) if isinstance(found, pl.Decimal) else pl.col(column)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
