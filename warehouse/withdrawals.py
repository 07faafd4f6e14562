"""Take back a delivery that no run has taken yet: what a day that was stopped by its checks needs.

Raw is append-only, so rows that a check refuses would stop every later run as well. A delivery is what came into a
table at one moment, since rows know no more of their load. One that a run has taken is in staging and marts: it is put
right by delivering the corrected rows, because the newest delivery of a key wins.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from recommender.errors import Conflict, NotFound

from warehouse.locks import leased
from warehouse.statements import changed, execute
from warehouse.tables import RAW

if TYPE_CHECKING:
    from warehouse.engine import Connection

# By a run of ops.runs: its window has the moment, and it began later; a night's window reaches to the end of its day.
TAKEN = (
    "runs.status = 'done' and runs.loaded_from <= {moment} and runs.loaded_until > {moment}"
    " and runs.started_at >= {moment}"
)


def withdraw(connection: Connection, table: str, loaded_at: datetime) -> int:
    """Delete what came into raw.`table` at that moment and forget that it was loaded; rows deleted.

    Raises NotFound where nothing came then, Conflict where a run has taken it.
    """
    delivery = {"table": table, "at": loaded_at}
    with leased(connection, "daily", purpose=f"the withdrawal from raw.{table}"):
        taken_at = TAKEN.format(moment="%(at)s::timestamp_ntz")
        query = f"select runs.first_day, runs.last_day from ops.runs as runs where {taken_at} limit 1"  # noqa: S608
        if taken := execute(connection, query, delivery):
            raise Conflict(
                f"what came at {loaded_at} was taken by the run of {taken[0][0]} to {taken[0][1]}; deliver the rows"
                " again, corrected",
                code="already_processed",
            )
        count = 0
        if table in RAW:
            statement = f"delete from raw.{table} where loaded_at = %(at)s::timestamp_ntz"  # noqa: S608
            count = changed(execute(connection, statement, delivery))
        if not count:
            raise NotFound(f"nothing came into raw.{table} at {loaded_at}", code="unknown_delivery")
        execute(connection, "delete from ops.loads where table_name = %(table)s and loaded_at = %(at)s", delivery)
    return count
