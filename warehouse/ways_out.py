"""The ways out of an engine, behind one port: a month of an export in, its Parquet files below the root out.

Snowflake copies straight into the exports bucket: at billions of events no worker could carry them. The embedded
engine cannot unload, so its twin takes the same rows as Arrow batches and writes the file here, a row group at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from recommender.contracts.exports import EXPORTS, TIME
from recommender.errors import Conflict

from warehouse.manifest import Part, hash_of
from warehouse.parts import Cut, query_of, rows_of, schema_of
from warehouse.roots import Root, S3Root
from warehouse.statements import execute

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.engine import Connection

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
        digest = hash_of(file)
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
