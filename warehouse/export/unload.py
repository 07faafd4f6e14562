"""Write the exports: Parquet parts by month and the manifest; only changed parts, unless all are written anew.

The ways out of an engine, behind one port: a month of an export in, its Parquet files below the root out.

Snowflake copies straight into the exports bucket: at billions of events no worker could carry them. The embedded
engine cannot unload, so its twin takes the same rows as Arrow batches and writes the file here, a row group at a time.

Decisions: docs/decisions/schedule.md (182).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from recommender.contracts.exports import EXPORTS, TIME, ExportManifest, Part, exported_file, file_hash
from recommender.errors import Conflict

from warehouse.engine.statements import execute
from warehouse.export.export_store import Root, S3Root, folder_root
from warehouse.export.parts import Cut, plan_parts, query_of, rows_of, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.engine.statements import Connection


ROWS_PER_GROUP: Final = 250_000
STAGE: Final = "exports.unloaded"  # an external stage, warehouse/snowflake/30_storage.sql
MOST_BYTES: Final = 268_435_456  # of one file that Snowflake writes


class Unloader(Protocol):
    """The way out of an engine."""

    def write(self, cut: Cut, root: Root) -> tuple[Part, ...]:
        """Write the rows of the cut below `root`, as one file or several."""


class ArrowUnloader:
    """The rows come here and are written here, in the contract's types and order: equal rows give equal bytes."""

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query as Arrow batches, in its order."""
        raise NotImplementedError

    def write(self, cut: Cut, root: Root) -> tuple[Part, ...]:
        """Write one file, named by its hash; more than a row group is never held."""
        import pyarrow.parquet as pq

        optional = cut.columns[len(EXPORTS[cut.name]) :]
        schema = schema_of(cut.name, optional)
        batches = self.batches(query_of(cut.name, optional, cut.partition)) if cut.rows else iter(())
        file = root.scratch / f"{cut.name}-{cut.partition}.parquet"
        rows = 0
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for group in _groups(batches, schema):
                writer.write_table(group, row_group_size=ROWS_PER_GROUP)
                rows += group.num_rows
        digest = file_hash(file)
        path = f"{cut.folder}/{cut.partition}-{digest[:16]}.parquet"
        root.add(file, path)
        return (Part(cut.partition, rows, digest, path, cut.fingerprint),)


class LocalUnloader(ArrowUnloader):
    """Straight from DuckDB, under the connector. Names are upper case there, as in Snowflake."""

    def __init__(self, duck: Any) -> None:
        self._duck = duck

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query as Arrow batches, in its order."""
        yield from self._duck.execute(query).to_arrow_reader(ROWS_PER_GROUP)


class CursorUnloader(ArrowUnloader):
    """Results through the cursor: for a server that cannot unload, and from Snowflake into a folder. Slower."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query as Arrow batches, in its order."""
        cursor = self._connection.cursor()
        cursor.execute(query)
        for table in cursor.fetch_arrow_batches():
            yield from table.to_batches()


class SnowflakeUnloader:
    """COPY INTO the stage over the exports bucket. Run against recorded statements only, never against an account."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, cut: Cut, root: Root) -> tuple[Part, ...]:
        """Let Snowflake write the files of the cut; into a folder, or where no row is, the cursor does."""
        if not isinstance(root, S3Root) or not cut.rows:
            return CursorUnloader(self._connection).write(cut, root)
        place = f"{self._below_stage(root)}{cut.folder}/{cut.partition}"
        written = execute(self._connection, copy_statement(cut, place), source=f"the unload of {cut.name}")
        # The path in FILE_NAME is the stage's; the name holds the query's id and is never given twice.
        rows = {str(name).rsplit("/", 1)[-1]: int(count) for name, _, count in written}
        paths = (f"{cut.folder}/{name}" for name in sorted(rows))
        return tuple(
            Part(cut.partition, rows[path.rsplit("/", 1)[-1]], root.hash_of(path), path, cut.fingerprint)
            for path in paths
        )

    def _below_stage(self, root: S3Root) -> str:
        """The root's path below the stage. Raises Conflict where the stage is over something else."""
        schema, name = STAGE.upper().split(".")
        query = """
            select stage_url
            from information_schema.stages
            where stage_schema = %(schema)s and stage_name = %(name)s
        """
        urls = [str(url) for (url,) in execute(self._connection, query, {"schema": schema, "name": name})]
        if not urls or not root.address.startswith(urls[0].rstrip("/") + "/"):
            found = urls[0] if urls else "not there, or not granted"
            raise Conflict(f"the stage {STAGE} is {found}; expected one over {root.address}")
        return root.address.removeprefix(urls[0].rstrip("/") + "/") + "/"


def copy_statement(cut: Cut, place: str) -> str:
    """COPY INTO the stage, below `place`. Files are written in parallel: each is in order, they are not.

    Names are quoted, or the files would have them in upper case. Times are microseconds since 1970 and numbers may be
    decimals of any width: who reads makes them the contract's types. INCLUDE_QUERY_ID: a second attempt meets no file
    of the first; DETAILED_OUTPUT: one line a file, with its rows.
    """
    columns = ", ".join(
        f'date_part(epoch_microsecond, {column}) as "{column}"' if kind == TIME else f'{column} as "{column}"'
        for column, kind in cut.columns
    )
    return (
        f"copy into @{STAGE}/{place} from (select {columns} {rows_of(cut.name, cut.partition)})"
        " file_format = (type = parquet compression = snappy) header = true"
        f" max_file_size = {MOST_BYTES} include_query_id = true detailed_output = true"
    )


def _groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in the schema's types, in tables of one chunk and ROWS_PER_GROUP rows, however the batches came."""
    import pyarrow as pa

    held: list[Any] = []
    count = 0
    for batch in batches:
        held.append(pa.Table.from_batches([batch]).rename_columns(schema.names).cast(schema))
        count += batch.num_rows
        while count >= ROWS_PER_GROUP:
            table = pa.concat_tables(held)
            yield table.slice(0, ROWS_PER_GROUP).combine_chunks()
            held = [table.slice(ROWS_PER_GROUP)]
            count -= ROWS_PER_GROUP
    if count:
        yield pa.concat_tables(held).combine_chunks()


def unload(
    connection: Connection, unloader: Unloader, root: Path, *, source: str, now: datetime, full: bool = False
) -> ExportManifest:
    """Write all exports and their manifest below the folder `root`, replacing what was there."""
    with folder_root(root) as place:
        return unload_to(connection, unloader, place, source=source, now=now, full=full)


def unload_to(
    connection: Connection, unloader: Unloader, root: Root, *, source: str, now: datetime, full: bool = False
) -> ExportManifest:
    """Write all exports and their manifest.

    Months whose rows are those of the export before are taken over as files, unless `full` writes all anew. Raises
    Conflict where the warehouse is written to meanwhile: the exports would not be of one moment.
    """
    begun = _state(connection)
    before = None if full else root.before()
    files = {}
    for name in EXPORTS:
        plan = plan_parts(connection, name, before)
        for part in plan.kept:
            root.keep(part)
        made = [part for cut in plan.cuts for part in _written(unloader, cut, root)]
        parts = sorted((*plan.kept, *made), key=lambda part: (part.partition, part.path))
        files[name] = exported_file(plan.columns, tuple(parts))
    data_from, data_until = _window(connection)
    derived, watermark = _has_derived(connection), _watermark(connection)
    if _state(connection) != begun:
        raise Conflict("a day was run while the exports were written, so they are not of one moment; export again")
    manifest = ExportManifest(now.isoformat(), data_from, data_until, source, derived, watermark, files)
    root.finish(manifest)
    return manifest


def _written(unloader: Unloader, cut: Cut, root: Root) -> tuple[Part, ...]:
    parts = unloader.write(cut, root)
    if (rows := sum(part.rows for part in parts)) != cut.rows:
        raise Conflict(
            f"{cut.name} of {cut.partition} had {cut.rows} rows when it was counted and {rows} when it was written:"
            " the warehouse changed meanwhile; export again"
        )
    return parts


def _state(connection: Connection) -> list[tuple[Any, ...]]:
    """The tables that any run changes."""
    return execute(connection, "select count(*), max(started_at), max(finished_at) from ops.runs")


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
