"""Append rows to a raw table: Parquet, PUT on a stage, COPY INTO, and a line in the ledger of loads.

Copy and ledger are one transaction, and a load id that the ledger knows is skipped: a load happens once
or not at all, however often it is tried.
"""

from __future__ import annotations

import hashlib
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse.statements import execute, transaction
from warehouse.tables import RAW

if TYPE_CHECKING:
    import polars as pl

    from warehouse.engine import Connection


def append(connection: Connection, table: str, frame: pl.DataFrame, *, load_id: str, loaded_at: datetime) -> int:
    """Append `frame` to raw.`table`; returns the number of rows, 0 where this load was made before.

    Variant columns are JSON text in the frame. `loaded_at` is naive UTC.
    """
    if frame.is_empty() or is_loaded(connection, load_id):
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.parquet"
        frame.select(name for name, _ in RAW[table]).write_parquet(path)
        stage = f"@ops.loading/{table}/{hashlib.sha256(load_id.encode()).hexdigest()[:16]}/"
        execute(connection, "create stage if not exists ops.loading")  # the embedded engine forgets stages on closing
        execute(connection, f"put 'file://{path}' {stage} auto_compress = false overwrite = true")
        with transaction(connection):
            execute(connection, _copy(table, stage), {"loaded_at": loaded_at})
            execute(
                connection,
                "insert into ops.loads (load_id, table_name, count_rows, loaded_at)"
                " values (%(load_id)s, %(table)s, %(rows)s, %(loaded_at)s)",
                {"load_id": load_id, "table": table, "rows": frame.height, "loaded_at": loaded_at},
            )
    return int(frame.height)


def is_loaded(connection: Connection, load_id: str) -> bool:
    """Whether the ledger knows this load."""
    return bool(execute(connection, "select 1 from ops.loads where load_id = %(id)s", {"id": load_id}))


def _copy(table: str, stage: str) -> str:
    names = ", ".join(name for name, _ in RAW[table])
    values = ", ".join(_value(name, sql_type) for name, sql_type in RAW[table])
    return (
        f"copy into raw.{table} ({names}, loaded_at)"  # noqa: S608 - names are this package's own
        f" from (select {values}, %(loaded_at)s::timestamp_ntz from {stage})"
        " file_format = (type = parquet use_logical_type = true) purge = true force = true"
    )


def _value(name: str, sql_type: str) -> str:
    return f"parse_json($1:{name}::varchar)" if sql_type == "variant" else f"$1:{name}::{sql_type}"
