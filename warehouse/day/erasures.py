"""Erasure of shoppers: every row of raw, staging and marts goes, and so do the next exports' rows.

A request is a row of raw.erasures. The run that takes it in deletes the shopper, and the browsers whose
visitor ids were seen with the shopper, from every table with a column that names them; a new table is covered
because tables are found by their columns. What stays is a hash of each id and the time until which the request
reaches: rows that happened before it and arrive late are deleted on arrival, before staging reads them.
What happens after it is a new acquaintance. Only counts leave this module, never an id.

Decisions: docs/decisions/warehouse.md (157).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from recommender.contracts.fields import problem

from warehouse.day.runs import PIPELINE
from warehouse.engine.locks import leased
from warehouse.engine.statements import changed, execute, run_file
from warehouse.raw.raw_append import append

if TYPE_CHECKING:
    from warehouse.engine.statements import Connection

WINDOW: Final = "loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz"
# raw tables with the id of a row and the time at which it happened; a row of the shopper file has none of its own.
HAPPENED: Final = {
    "events": ("coalesce(user_id, visitor_id)", "event_time"),
    "purchases": ("shopper_id", "purchased_at"),
    "reviews": ("shopper_id", "reviewed_at"),
    "shoppers": ("shopper_id", "null"),
}
# How a table names a shopper, best first: the first column that a table has decides.
NAMING: Final = {"shopper_id": ("shopper", "visitor"), "visitor_id": ("visitor",), "session_id": ("session",)}


def request_erasure(
    connection: Connection, shopper_ids: Sequence[str], *, now: datetime, load_id: str | None = None
) -> int:
    """Write requests into raw.erasures; returns their number, 0 where `load_id` was written before.

    The ids travel in a file, not in a statement's text.
    """
    import polars as pl

    for shopper_id in shopper_ids:
        if not shopper_id.strip() or len(shopper_id) > 128:
            raise problem("/shopper", f"{len(shopper_id)} characters", "1 to 128 characters, not blank")
    frame = pl.DataFrame({"shopper_id": list(shopper_ids)}, schema={"shopper_id": pl.String}).with_columns(
        pl.lit(now).cast(pl.Datetime("us")).alias("requested_at")
    )
    return append(connection, "erasures", frame, load_id=load_id or f"erasures/{uuid4().hex}", loaded_at=now)


def erase_now(connection: Connection, *, now: datetime, holder: str = "") -> dict[str, int]:
    """Answer the requests at once, outside a day's run; returns rows deleted by table."""
    with leased(connection, PIPELINE, purpose="an erasure", holder=holder):
        # Stamped now, so that the next run recounts what the shopper had touched.
        return erase_requested(connection, {"loaded_from": now, "loaded_until": now + timedelta(microseconds=1)})


def erase_requested(connection: Connection, window: Mapping[str, datetime]) -> dict[str, int]:
    """Within a run's transaction, answer requests and drop late rows; return the rows deleted by table."""
    ((requests, known),) = execute(
        connection,
        """
        select
            (select count(*) from raw.erasures where loaded_at < %(loaded_until)s::timestamp_ntz),
            (select count(*) from ops.erased)
        """,
        {"loaded_until": window["loaded_until"]},
    )
    counts: dict[str, int] = {}
    if known:
        counts = _drop_late(connection, window)
    if requests:
        counts = _sum(counts, _erase(connection, window))
    return {table: count for table, count in counts.items() if count}


def _erase(connection: Connection, window: Mapping[str, datetime]) -> dict[str, int]:
    run_file(connection, "erasing/10_collect.sql", window)
    named = f"delete from raw.events where user_id in ({_ids('shopper')})"  # noqa: S608
    unnamed = f"delete from raw.events where user_id is null and visitor_id in ({_ids('visitor')})"  # noqa: S608
    counts = {
        "raw.events": _delete(connection, named) + _delete(connection, unnamed),
        "raw.rejects": _delete(
            connection,
            "delete from raw.rejects using ops.erasing as gone"
            " where gone.kind in ('shopper', 'visitor') and contains(content, gone.id)",
        ),
    }
    for table, column in _tables(connection):
        counts[table] = _delete(
            connection,
            f"delete from {table} where {column} in ({_ids(*NAMING[column])})",  # noqa: S608 - of the catalogue
        )
    run_file(connection, "erasing/20_remember.sql", window)
    counts.pop("raw.erasures", None)
    return counts


def _tables(connection: Connection) -> list[tuple[str, str]]:
    """(table, the column by which it names a shopper) of every table that does, but raw.events and ops.erasing."""
    rows = execute(
        connection,
        """
        select
            lower(columns.table_schema) || '.' || lower(columns.table_name),
            lower(columns.column_name)
        from information_schema.columns as columns
        inner join information_schema.tables as tables
            on columns.table_schema = tables.table_schema and columns.table_name = tables.table_name
        where
            tables.table_type = 'BASE TABLE'
            and lower(columns.table_schema) in ('raw', 'staging', 'marts', 'ops')
            and lower(columns.column_name) in ('shopper_id', 'visitor_id', 'session_id')
        order by 1
        """,
    )
    found: dict[str, str] = {}
    for column in NAMING:
        found.update({table: column for table, name in rows if name == column and table not in found})
    found.pop("raw.events", None)
    return sorted(found.items())


def _drop_late(connection: Connection, window: Mapping[str, datetime]) -> dict[str, int]:
    """Delete what was loaded in the window and happened before its shopper was erased."""
    run_file(connection, "erasing/05_browsers.sql", window)
    return {
        f"raw.{table}": _delete(
            connection,
            f"delete from raw.{table}"  # noqa: S608 - names are this module's own
            " using (select id_hash, erased_until from ops.erased) as erased"
            f" where {WINDOW} and sha2({who}, 256) = erased.id_hash"
            f" and coalesce({happened}, erased.erased_until) <= erased.erased_until",
            window,
        )
        for table, (who, happened) in HAPPENED.items()
    }


def _ids(*kinds: str) -> str:
    """The ids on their way out, to be compared with: no DELETE names a column by schema and table."""
    wanted = ", ".join(f"'{kind}'" for kind in kinds)
    return f"select id from ops.erasing where kind in ({wanted})"  # noqa: S608 - kinds are this module's own


def _delete(connection: Connection, statement: str, window: Mapping[str, datetime] | None = None) -> int:
    return changed(execute(connection, statement, window, source="erasures"))


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {table: one.get(table, 0) + other.get(table, 0) for table in {**one, **other}}
