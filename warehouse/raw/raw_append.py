"""Append rows to a raw table: Parquet, PUT on a stage, COPY INTO, and a line in the ledger of loads.

Copy and ledger are one transaction, and a load id that the ledger knows is skipped: a load happens once
or not at all, however often it is tried. What a killed attempt left on the stage is removed by the next one.

Columns of a delivery that raw does not have yet: added where that is possible, else left out, and named.

A source that starts to deliver one more column must not fail the day. A new column whose name is an
identifier is added to the raw table with the type it came in; staging names its columns, so nothing downstream
changes until somebody takes the column up. What cannot be added stays in the delivered file. Either way
ops.new_columns records it, once a column. A column that raw has and the delivery lacks loads as null, unless it is
part of what identifies a row.

Decisions: docs/decisions/warehouse.md (159).
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recommender.contracts.events import EVENT_COLUMNS
from recommender.contracts.fields import problem

from warehouse.engine.statements import engine_errors, execute, transaction
from warehouse.tables import PLACE, RAW, Columns

if TYPE_CHECKING:
    import polars as pl

    from warehouse.engine.statements import Connection


IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
MOST_ADDED: Final = 100  # columns a raw table may gain: a delivery with data in its column names stops there
REQUIRED: Final = {
    "events": tuple(column.name for column in EVENT_COLUMNS if column.required),
    "purchases": ("order_id", "item_id", "shopper_id", "purchased_at", "quantity", "price_cents"),
    "items": ("item_id", "title", "category", "price_cents"),
    "shoppers": ("shopper_id",),
    "reviews": ("review_id", "item_id", "rating"),
    "erasures": ("shopper_id",),
}


@dataclass(frozen=True, slots=True)
class Additions:
    """Columns beyond the contract in a delivery: those that raw now has, and those left out, each with the reason."""

    added: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def complete(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with lower-case names and a null column for each optional one it lacks. Raises InvalidInput."""
    import polars as pl

    lowered = [name.lower() for name in frame.columns]
    if twice := sorted({name for name in lowered if lowered.count(name) > 1}):
        raise problem(f"/{table}", f"more than one column {', '.join(twice)}", "each column once")
    frame = frame.rename(dict(zip(frame.columns, lowered, strict=True)))
    if missing := [name for name in REQUIRED[table] if name not in lowered]:
        raise problem(f"/{table}", f"a delivery without {', '.join(missing)}", f"columns {', '.join(REQUIRED[table])}")
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    return frame.with_columns(
        *(pl.lit(None, pl.String).alias(name) for name, _ in RAW[table] if name not in lowered),
        *(pl.Series(name, [_as_json(value) for value in frame[name].to_list()], pl.String) for name in nested),
    )


def admit(
    connection: Connection, table: str, frame: pl.DataFrame, *, load_id: str, loaded_at: datetime
) -> tuple[Columns, Additions]:
    """The columns of `frame` beyond the contract that can be loaded, added to raw where they are new.

    Call it outside a transaction: adding a column ends one.
    """
    known = {name for name, _ in RAW[table]} | {"loaded_at"}
    delivered = {name: _sql_type(kind) for name, kind in frame.schema.items() if name not in known}
    if not delivered:
        return (), Additions()
    present = {
        name.lower(): kind.split("(")[0].lower()
        for name, kind, *_ in execute(connection, f"describe table raw.{table}")
    }
    room = MOST_ADDED - (len(present) - len(known))
    taken: list[tuple[str, str]] = []
    added: list[str] = []
    left_out: list[tuple[str, str]] = []
    for name, kind in delivered.items():
        reason = _refusal(name, kind, present, room - len(added)) or (
            "" if name in present else _add(connection, table, name, kind)
        )
        if reason:
            left_out.append((name, reason))
            continue
        if name not in present:
            added.append(name)
        taken.append((name, present.get(name, kind)))
    found = Additions(tuple(added), tuple(left_out))
    _record(connection, table, found, load_id=load_id, loaded_at=loaded_at)
    return tuple(taken), found


def _refusal(name: str, kind: str, present: dict[str, str], room: int) -> str:
    if not IDENTIFIER.fullmatch(name):
        return "its name is not an identifier of at most 63 characters"
    if name in present:
        have = {"text": "varchar", "number": "number"}.get(present[name], present[name])
        return "" if have in (kind.split("(")[0], "varchar") else f"it came as {kind}, raw has {have}"
    return "" if room > 0 else f"raw has gained {MOST_ADDED} columns already"


def _add(connection: Connection, table: str, name: str, kind: str) -> str:
    """Add the column; the reason why not where the engine refuses, for want of a privilege or for a reserved word."""
    try:
        execute(connection, f'alter table raw.{table} add column if not exists "{name.upper()}" {kind}')
    except engine_errors():
        return "the warehouse refused to add it"
    return ""


def _as_json(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str, sort_keys=True)


def _sql_type(kind: pl.DataType) -> str:
    import polars as pl

    if kind.is_integer():
        return "number(38, 0)"
    if kind.is_numeric():
        return "float"
    return {pl.Boolean: "boolean", pl.Date: "date", pl.Datetime: "timestamp_ntz"}.get(kind.base_type(), "varchar")


def _record(connection: Connection, table: str, found: Additions, *, load_id: str, loaded_at: datetime) -> None:
    rows = [(name, "added", "new in a delivery") for name in found.added]
    rows += [(name, "left_out", reason) for name, reason in found.left_out]
    for name, action, reason in rows:
        execute(
            connection,
            """
            merge into ops.new_columns as target
            using (select %(table)s as table_name, %(name)s as column_name) as source
                on target.table_name = source.table_name and target.column_name = source.column_name
            when not matched then insert (table_name, column_name, action, reason, load_id, loaded_at)
            values (
                source.table_name, source.column_name, %(action)s, %(reason)s, %(load_id)s,
                %(loaded_at)s::timestamp_ntz
            )
            """,
            {
                "table": table,
                "name": name[:256],
                "action": action,
                "reason": reason,
                "load_id": load_id,
                "loaded_at": loaded_at,
            },
        )


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
    """The result of a load: rows, 0 where it was made before, and its columns beyond the contract."""

    rows: int = 0
    additions: Additions = field(default_factory=Additions)


def append(connection: Connection, table: str, frame: pl.DataFrame, *, load_id: str, loaded_at: datetime) -> int:
    """Append `frame` to raw.`table`; returns the number of rows, 0 where this load was made before.

    Variant columns are JSON text in the frame. `loaded_at` is naive UTC.
    """
    return load(connection, table, frame, load_id=load_id, loaded_at=loaded_at).rows


def load(connection: Connection, table: str, frame: pl.DataFrame, *, load_id: str, loaded_at: datetime) -> Loaded:
    """Append, and also return the new columns. Raises InvalidInput where a required column is missing."""
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
    """Return whether the ledger knows this load."""
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
