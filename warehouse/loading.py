"""Append rows to a raw table: Parquet, PUT on a stage, COPY INTO, and a line in the ledger of loads.

Copy and ledger are one transaction, and a load id that the ledger knows is skipped: a load happens once
or not at all, however often it is tried. What a killed attempt left on the stage is removed by the next one.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warehouse.additions import Additions, admit, complete
from warehouse.statements import execute, transaction
from warehouse.tables import PLACE, RAW

if TYPE_CHECKING:
    import polars as pl

    from warehouse.engine import Connection

ROWS_PER_GROUP: Final = 122_880  # the embedded engine's own: its threads then write groups side by side


@dataclass(frozen=True, slots=True)
class Part:
    """Rows on disk as COPY reads them: the file, a frame of their columns without rows, names in the file."""

    path: Path
    empty: pl.DataFrame
    rows: int
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: rows, 0 where it was made before, and the columns beyond the contract that it brought."""

    rows: int = 0
    additions: Additions = field(default_factory=Additions)


def append(connection: Connection, table: str, frame: pl.DataFrame, *, load_id: str, loaded_at: datetime) -> int:
    """Append `frame` to raw.`table`; returns the number of rows, 0 where this load was made before.

    Variant columns are JSON text in the frame. `loaded_at` is naive UTC.
    """
    return load(connection, table, frame, load_id=load_id, loaded_at=loaded_at).rows


def load(connection: Connection, table: str, frame: pl.DataFrame, *, load_id: str, loaded_at: datetime) -> Loaded:
    """`append` that also tells which columns were new. Raises InvalidInput where a required column is missing."""
    if frame.is_empty() or is_loaded(connection, load_id):
        return Loaded()
    with tempfile.TemporaryDirectory() as folder:
        frame = placed(table, complete(table, frame), load_id)
        part = write_part(frame, table, Path(folder) / "part.parquet")
        return load_part(connection, table, part, load_id=load_id, loaded_at=loaded_at)


def placed(table: str, frame: pl.DataFrame, load_id: str, numbers: pl.Series | None = None) -> pl.DataFrame:
    """Rows with the load that brought them and their number in it, where raw.`table` keeps both."""
    import polars as pl

    if not {name for name, _ in RAW[table]}.issuperset(PLACE):
        return frame
    numbers = pl.int_range(1, frame.height + 1, eager=True) if numbers is None else numbers.cast(pl.Int64)
    delivery = hashlib.sha256(load_id.encode()).hexdigest()[:16]
    return frame.with_columns(pl.lit(delivery).alias("delivery_id"), numbers.alias("row_number"))


def write_part(frame: pl.DataFrame, table: str, path: Path) -> Part:
    """Write rows with all columns of raw.`table` to be loaded as they are."""
    known = [name for name, _ in RAW[table]]
    # In the file the columns beyond the contract have names of ours: theirs may be words of SQL.
    names = {name: f"extra_{number}" for number, name in enumerate(frame.columns) if name not in known}
    inside = frame.select(*known, *names).rename(names)
    inside.write_parquet(path, compression="snappy", row_group_size=ROWS_PER_GROUP)
    return Part(path, frame.clear(), frame.height, names)


def load_part(connection: Connection, table: str, part: Part, *, load_id: str, loaded_at: datetime) -> Loaded:
    """Load a written part, unless the ledger knows it."""
    if is_loaded(connection, load_id):
        return Loaded()
    extra, additions = admit(connection, table, part.empty, load_id=load_id, loaded_at=loaded_at)
    stage = f"@ops.loading/{table}/{hashlib.sha256(load_id.encode()).hexdigest()[:16]}/"
    execute(connection, "create stage if not exists ops.loading")  # the embedded engine forgets stages on closing
    execute(connection, f"put 'file://{part.path}' {stage} auto_compress = false overwrite = true")
    with transaction(connection):
        copy = _copy(table, stage, [(name, kind, part.names[name]) for name, kind in extra])
        execute(connection, copy, {"loaded_at": loaded_at}, source=f"the load of raw.{table}")
        record_load(connection, table, part.rows, load_id=load_id, loaded_at=loaded_at)
    return Loaded(part.rows, additions)


def record_load(connection: Connection, table: str, rows: int, *, load_id: str, loaded_at: datetime) -> None:
    """Write a line in the ledger; call it in the transaction that loads."""
    execute(
        connection,
        "insert into ops.loads (load_id, table_name, count_rows, loaded_at)"
        " values (%(load_id)s, %(table)s, %(rows)s, %(loaded_at)s)",
        {"load_id": load_id, "table": table, "rows": rows, "loaded_at": loaded_at},
    )


def is_loaded(connection: Connection, load_id: str) -> bool:
    """Whether the ledger knows this load."""
    return bool(execute(connection, "select 1 from ops.loads where load_id = %(id)s", {"id": load_id}))


def _copy(table: str, stage: str, extra: Sequence[tuple[str, str, str]]) -> str:
    """`extra`: name in raw, type, name in the file."""
    names = ", ".join([*(name for name, _ in RAW[table]), *(f'"{name.upper()}"' for name, _, _ in extra)])
    columns = [*RAW[table], *((in_file, sql_type) for _, sql_type, in_file in extra)]
    values = ", ".join(_value(name, sql_type) for name, sql_type in columns)
    return (
        f"copy into raw.{table} ({names}, loaded_at)"  # noqa: S608 - names are this package's own or checked
        f" from (select {values}, %(loaded_at)s::timestamp_ntz from {stage})"
        " file_format = (type = parquet use_logical_type = true) purge = true force = true"
    )


def _value(name: str, sql_type: str) -> str:
    return f"parse_json($1:{name}::varchar)" if sql_type == "variant" else f"$1:{name}::{sql_type}"
