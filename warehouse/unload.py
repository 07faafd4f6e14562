"""Write the exports: Parquet parts by month, in the contract's types, and the manifest.

Snowflake unloads with COPY INTO a stage; the embedded engine has no unload, so its twin writes the same
query's Arrow batches. Everything is written beside the target and moved in place at the end: a reader
sees the old exports, none, or the new ones, never a part.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recommender.contracts.exports import EXPORTS
from recommender.errors import ArtifactRefused, Conflict

from warehouse.manifest import MANIFEST, ExportManifest, of_parts, read_manifest
from warehouse.parts import plan_parts, query_of, schema_of, write_parts
from warehouse.statements import execute

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.engine import Connection

ROWS_PER_BATCH = 250_000


__all__ = ["LocalUnloader", "SnowflakeUnloader", "Unloader", "query_of", "schema_of", "unload"]


class Unloader(Protocol):
    """The way out of an engine."""

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query as Arrow batches."""


class LocalUnloader:
    """Straight from DuckDB, under the connector. Names are upper case there, as in Snowflake."""

    def __init__(self, duck: Any) -> None:
        self._duck = duck

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query as Arrow batches."""
        yield from self._duck.execute(query).to_arrow_reader(ROWS_PER_BATCH)


class SnowflakeUnloader:
    """COPY INTO the user's stage, then GET. Run against recorded statements only, never against an account."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query as Arrow batches."""
        import pyarrow.dataset as ds

        stage = "@~/recommender_unload/"
        execute(self._connection, f"remove {stage}")
        execute(
            self._connection,
            f"copy into {stage} from ({query}) file_format = (type = parquet compression = snappy)"
            " header = true single = false overwrite = true",
        )
        with tempfile.TemporaryDirectory() as folder:
            execute(self._connection, f"get {stage} 'file://{folder}/'")
            if files := sorted(str(path) for path in Path(folder).iterdir()):  # no rows, no file
                yield from ds.dataset(files).to_batches()


def unload(
    connection: Connection, unloader: Unloader, root: Path, *, source: str, now: datetime, full: bool = False
) -> ExportManifest:
    """Write all exports and their manifest below `root`, replacing what was there.

    Parts whose rows are those of the export before are taken over as files, unless `full` asks for all anew.
    """
    if root.is_dir() and any(root.iterdir()) and not (root / MANIFEST).is_file():
        raise Conflict(f"{root} is not an export and would be replaced; give an empty folder or remove it")
    root.parent.mkdir(parents=True, exist_ok=True)
    before = None if full else _before(root)
    fresh = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        fresh.chmod(0o755)
        files = {}
        for name in EXPORTS:
            plan = plan_parts(connection, name, before)
            for part in plan.kept:
                _take_over(root / part.path, fresh / part.path)
            made = write_parts(unloader, fresh, plan)
            parts = sorted((*plan.kept, *made), key=lambda part: part.partition)
            files[name] = of_parts(plan.columns, tuple(parts))
        data_from, data_until = _window(connection)
        manifest = ExportManifest(
            now.isoformat(), data_from, data_until, source, _has_derived(connection), _watermark(connection), files
        )
        (fresh / MANIFEST).write_text(manifest.to_json())
        _replace(root, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def _before(root: Path) -> ExportManifest | None:
    """The export that stands there, where it is whole."""
    try:
        return read_manifest(root)
    except ArtifactRefused:
        return None


def _take_over(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        new.hardlink_to(old)
    except OSError:  # a file system without links
        shutil.copyfile(old, new)


def _watermark(connection: Connection) -> str:
    rows = execute(connection, "select max(processed_until) from ops.watermarks where pipeline = 'daily'")
    return rows[0][0].isoformat() if rows[0][0] else ""


def _window(connection: Connection) -> tuple[str, str]:
    query = "select min(purchased_at), max(purchased_at) from exports.purchases_v1"
    ((first, last),) = execute(connection, query)
    return (first.isoformat(), last.isoformat()) if first else ("", "")


def _has_derived(connection: Connection) -> bool:
    query = "select coalesce(max(iff(derived, 1, 0)), 0) from exports.session_events_v1"
    return bool(execute(connection, query)[0][0])


def _replace(root: Path, fresh: Path) -> None:
    if root.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{root.name}-old-", dir=root.parent))
        root.rename(old / root.name)
        fresh.rename(root)
        shutil.rmtree(old)
    else:
        fresh.rename(root)
