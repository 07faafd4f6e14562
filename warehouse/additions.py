"""Columns of a delivery that raw does not have yet: added where that is possible, else left out, and named.

A source that starts to deliver one more column must not fail the day. A new column whose name is an
identifier is added to the raw table with the type it came in; staging names its columns, so nothing downstream
changes until somebody takes the column up. What cannot be added stays in the delivered file. Either way
ops.new_columns says so, once a column. A column that raw has and the delivery lacks loads as null, unless it is
part of what identifies a row.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from recommender.contracts.events import EVENT_COLUMNS
from recommender.contracts.fields import problem

from warehouse.statements import engine_errors, execute
from warehouse.tables import RAW, Columns

if TYPE_CHECKING:
    import polars as pl

    from warehouse.engine import Connection

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
