"""Take back a delivery that no run has taken yet: what a day that was stopped by its checks needs.

Raw is append-only, so rows that a check refuses would stop every later run as well. A load that a run has taken is in
staging and marts: it is put right by delivering the corrected rows, because the newest delivery of a key wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recommender.errors import Conflict, NotFound

from warehouse.locks import leased
from warehouse.statements import changed, execute
from warehouse.tables import RAW

if TYPE_CHECKING:
    from warehouse.engine import Connection


def withdraw(connection: Connection, load_ids: Sequence[str]) -> dict[str, int]:
    """Delete the rows of these loads and forget that they were made; rows deleted by raw table.

    Rows know their load by its moment, so loads of a table that share one go together. Raises NotFound for a load that
    the ledger does not know, Conflict where a run has taken one or another load shares its moment.
    """
    deleted: dict[str, int] = {}
    with leased(connection, "daily", purpose=f"the withdrawal of {', '.join(load_ids)}"):
        for table, loaded_at in sorted({_delivery(connection, load_id) for load_id in load_ids}):
            deleted[table] = deleted.get(table, 0) + _delete(connection, table, loaded_at, load_ids)
    return deleted


def _delivery(connection: Connection, load_id: str) -> tuple[str, Any]:
    query = "select table_name, loaded_at from ops.loads where load_id = %(id)s"
    rows = execute(connection, query, {"id": load_id})
    if not rows or rows[0][0] not in RAW:
        raise NotFound(f"no load is called {load_id!r}; `doctor` and ops.loads name them", code="unknown_load")
    table, loaded_at = rows[0]
    query = """
        select first_day, last_day from ops.runs
        where status = 'done' and loaded_from <= %(at)s::timestamp_ntz and loaded_until > %(at)s::timestamp_ntz
        limit 1
    """
    if taken := execute(connection, query, {"at": loaded_at}):
        raise Conflict(
            f"{load_id} was taken by the run of {taken[0][0]} to {taken[0][1]}; deliver its rows again, corrected",
            code="already_processed",
        )
    return table, loaded_at


def _delete(connection: Connection, table: str, loaded_at: Any, load_ids: Sequence[str]) -> int:
    delivery = {"table": table, "at": loaded_at}
    query = "select load_id, count_rows from ops.loads where table_name = %(table)s and loaded_at = %(at)s"
    loads = dict(execute(connection, query, delivery))
    if others := sorted(set(loads) - set(load_ids)):
        raise Conflict(f"{', '.join(others)} came at the same moment; withdraw them together", code="shared_moment")
    count = changed(execute(connection, f"delete from raw.{table} where loaded_at = %(at)s::timestamp_ntz", delivery))  # noqa: S608
    if count > sum(loads.values()):
        raise Conflict(f"raw.{table} has rows of {loaded_at} that no load in ops.loads brought", code="shared_moment")
    execute(connection, "delete from ops.loads where table_name = %(table)s and loaded_at = %(at)s", delivery)
    return count
