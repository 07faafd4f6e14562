"""The warehouse's exports as data frames: the only data a training job reads.

A root holds `manifest.json` and one folder of Parquet per export, or one such root per day: a schedule has a fixed
address, and each night's exports a new one, `<prefix>/2026-01-03/`. Reading checks the manifest, the files' hashes,
columns, row counts and months, the date range and, where a job asks for it, the age of the data: half-written, mixed-up
or stale exports stop a job in its first seconds and not in its last. Times are naive UTC.

Decisions: docs/decisions/schedule.md (221).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from recommender.contracts.exports import (
    ALL,
    EXPORT_VERSION,
    EXPORTS,
    MANIFEST,
    OPTIONAL_COLUMNS,
    ORDER,
    ExportedFile,
    ExportManifest,
    Part,
    check_part,
    exported_file,
    file_hash,
    read_manifest,
    time_of,
)
from recommender.domain.models.arrays import Ids
from recommender.errors import ArtifactRefused

from training_jobs.environment import METRICS, Freshness, JobEnvironment, read_metrics
from training_jobs.graph import CONTENT, EXPORTS_CHANNEL

READ_BY_JOBS = ("purchases", "items", "shoppers", "session_events")
DATA_HASH = "data_hash"  # in the metrics of the run's first job: its later jobs must read the same data
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
    manifest = read_manifest(root, READ_BY_JOBS)
    data_from, data_until = manifest.date_range(str(root / MANIFEST))
    if freshness is not None:
        _check_age(root, data_until, freshness)
    frames = {name: _read_frame(root, name, manifest.files[name]) for name in READ_BY_JOBS}
    purchases = frames["purchases"].sort("purchased_at", maintain_order=True)
    _check_date_range(root, data_from, data_until, purchases)
    return Exports(
        purchases=purchases,
        items=frames["items"],
        shoppers=frames["shoppers"],
        session_events=frames["session_events"].sort("event_time", maintain_order=True),
        data_from=data_from,
        data_until=data_until,
        data_hash=data_hash(manifest),
        derived=manifest.derived,
    )


def exports_of(environment: JobEnvironment) -> Exports:
    """The exports of the job's run: the data whose hash its first job wrote into its metrics, where it did."""
    first = environment.channels.get(CONTENT.name)
    learnt_from = read_metrics(first).get(DATA_HASH, "") if first and (first / METRICS).is_file() else ""
    return read_exports(environment.channel(EXPORTS_CHANNEL), environment.freshness, learnt_from=learnt_from)


def chosen_export(root: Path, *, learnt_from: str = "") -> Path:
    """`root` where it has a manifest, else the newest day below it that has one. Raises ArtifactRefused.

    The manifest is written last: a day without one is not whole. `learnt_from` is the hash of the data that an earlier
    job of the run has read: a day that was exported meanwhile is passed over, so that a run never learns from one day
    and is judged by another.
    """
    if (root / MANIFEST).is_file():
        return root
    days = sorted((path for path in root.iterdir() if _is_day(path.name) and (path / MANIFEST).is_file()), reverse=True)
    if not days:
        raise ArtifactRefused(
            f"{root / MANIFEST} cannot be read: there is none, nor in a day below, such as {root.name}/2026-01-03;"
            " expected the warehouse's export"
        )
    if not learnt_from:
        return days[0]
    for day in days:
        if data_hash(read_manifest(day, READ_BY_JOBS)) == learnt_from:
            return day
    names = ", ".join(day.name for day in days)
    raise ArtifactRefused(
        f"the run began on exports of hash {learnt_from}, {root} has {names}, and none of them has it"
    )


def data_hash(manifest: ExportManifest) -> str:
    """SHA-256 over the names and hashes of the exports that jobs read."""
    hashed = "".join(f"{name} {manifest.files[name].sha256}\n" for name in READ_BY_JOBS)
    return hashlib.sha256(hashed.encode()).hexdigest()


def write_exports(root: Path, exports: Exports, *, source: str, created_at: datetime) -> None:
    """Write frames in the warehouse's own layout, for data that never was in a warehouse."""
    files: dict[str, ExportedFile] = {}
    for name in READ_BY_JOBS:
        path = root / name / EXPORT_VERSION / "part-0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = _typed(name, getattr(exports, name))
        frame.write_parquet(path)
        part = Part(ALL, frame.height, file_hash(path), path.relative_to(root).as_posix())
        files[name] = exported_file(_columns(name, frame), (part,))
    manifest = ExportManifest(
        created_at=created_at.isoformat(),
        data_from=exports.data_from.isoformat(),
        data_until=exports.data_until.isoformat(),
        source=source,
        derived=exports.derived,
        processed_until="",
        files=files,
    )
    (root / MANIFEST).write_text(manifest.to_json())


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def _check_age(root: Path, data_until: datetime, freshness: Freshness) -> None:
    oldest = freshness.day - timedelta(days=freshness.max_age_days)
    if data_until.date() < oldest:
        raise ArtifactRefused(
            f"the purchases of {root} end on {data_until.date()}, expected {oldest} or later:"
            f" at most {freshness.max_age_days} days before {freshness.day}"
        )


def _check_date_range(root: Path, data_from: datetime, data_until: datetime, purchases: pl.DataFrame) -> None:
    """The purchases lie in the date range, and reach to within a day of both its ends."""
    if purchases.is_empty():
        raise ArtifactRefused(f"{root} has no purchases; expected some from {data_from} on")
    first, last = purchases["purchased_at"][0], purchases["purchased_at"][-1]
    starts = data_from <= first < data_from + A_DAY
    ends = data_until - A_DAY <= last <= data_until
    if not (starts and ends):
        listed = f"{data_from} to {data_until}"
        raise ArtifactRefused(f"{root / MANIFEST} has the date range {listed}, but the purchases are {first} to {last}")


def _read_frame(root: Path, name: str, entry: ExportedFile) -> pl.DataFrame:
    frame = pl.concat([_read_part(root, name, part) for part in entry.parts])
    if len({part.partition for part in entry.parts}) < len(entry.parts):  # months that were written in parallel
        return frame.sort(ORDER[name], nulls_last=True)
    return frame


def _read_part(root: Path, name: str, part: Part) -> pl.DataFrame:
    path = check_part(root, part)
    frame = pl.read_parquet(path)
    missing = [column for column, _ in EXPORTS[name] if column not in frame.columns]
    if missing:
        raise ArtifactRefused(f"{path} lacks the columns {', '.join(missing)}")
    if frame.height != part.rows:
        raise ArtifactRefused(f"{path} has {frame.height} rows, {MANIFEST} lists {part.rows}")
    frame = _typed(name, frame)
    _check_month(path, name, part.partition, frame)
    return frame


def _check_month(path: Path, name: str, partition: str, frame: pl.DataFrame) -> None:
    time = time_of(name)
    if partition == ALL or time is None or frame.is_empty():
        return
    first, last = frame[time].min(), frame[time].max()
    if any(f"{moment:%Y-%m}" != partition for moment in (first, last)):
        raise ArtifactRefused(f"{path} has rows from {first} to {last}, but {MANIFEST} lists it as {partition}")


def _columns(name: str, frame: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    """The export's columns, and its optional ones that the frame has."""
    return (*EXPORTS[name], *(entry for entry in OPTIONAL_COLUMNS.get(name, ()) if entry[0] in frame.columns))


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns in their types. Snowflake writes whole numbers as decimals, and times as microseconds since 1970."""
    decimals = {column for column, found in frame.schema.items() if isinstance(found, pl.Decimal)}
    return frame.select(
        (pl.col(column).cast(pl.Int64) if column in decimals else pl.col(column)).cast(POLARS_TYPES[kind])
        for column, kind in _columns(name, frame)
    )
