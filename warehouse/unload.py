"""Write the exports: one Parquet file per export, in the contract's types, and the manifest.

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

from recommender.contracts.exports import EXPORT_VERSION, EXPORTS
from recommender.errors import Conflict

from warehouse.manifest import MANIFEST, ExportedFile, ExportManifest, describe_file
from warehouse.statements import execute

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.engine import Connection

ROWS_PER_BATCH = 250_000
# A total order for each export, so that the same rows give the same file.
ORDER = {
    "purchases": ("purchased_at", "order_id", "item_id"),
    "items": ("item_id",),
    "shoppers": ("shopper_id",),
    "session_events": ("event_time", "session_id", "event_id", "item_id"),
    "impressions": ("shown_at", "recommendation_id", "placement", "index", "item_id"),
    "searches": ("searched_at", "event_id"),
    "reviews": ("reviewed_at", "review_id"),
    "item_popularity": ("day", "item_id"),
}


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


def unload(connection: Connection, unloader: Unloader, root: Path, *, source: str, now: datetime) -> ExportManifest:
    """Write all exports and their manifest below `root`, replacing what was there."""
    if root.is_dir() and any(root.iterdir()) and not (root / MANIFEST).is_file():
        raise Conflict(f"{root} is not an export and would be replaced; give an empty folder or remove it")
    root.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        fresh.chmod(0o755)
        files = {name: _write(unloader, fresh, name) for name in EXPORTS}
        data_from, data_until = _window(connection)
        manifest = ExportManifest(now.isoformat(), data_from, data_until, source, _has_derived(connection), files)
        (fresh / MANIFEST).write_text(manifest.to_json())
        _replace(root, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def query_of(name: str) -> str:
    """The query of one export: explicit columns in the contract's order, rows in a total order."""
    columns = ", ".join(f"{column} as {column}" for column, _ in EXPORTS[name])
    return f"select {columns} from exports.{name}_{EXPORT_VERSION} order by {', '.join(ORDER[name])}"  # noqa: S608


def schema_of(name: str) -> pa.Schema:
    """The contract's columns as an Arrow schema."""
    import pyarrow as pa

    return pa.schema([(column, _arrow_type(kind)) for column, kind in EXPORTS[name]])


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us") if kind == "timestamp[us]" else pa.type_for_alias(kind)


def _write(unloader: Unloader, root: Path, name: str) -> ExportedFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, rows = schema_of(name), 0
    path = root / name / EXPORT_VERSION / "part-0.parquet"
    path.parent.mkdir(parents=True)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in unloader.batches(query_of(name)):
            table = pa.Table.from_batches([batch]).rename_columns(schema.names).cast(schema)
            writer.write_table(table)
            rows += table.num_rows
    return describe_file(root, path, rows)


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
