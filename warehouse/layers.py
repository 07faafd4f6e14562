"""Whether the layers are there as their files describe them, so that a session that finds them needs to create nothing.

On Snowflake only the administrator may create schemas and replace views: `create … if not exists` asks for the
privilege even where the thing exists. What was applied is written down by its hash, and a task of the schedule,
whose role may read and write rows and no more, sends no DDL at all. What a session may not see it cannot miss, so the
hash alone decides; whoever drops a table deletes it as well.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from warehouse.statements import HERE, execute, run_file
from warehouse.upgrades import add_missing_columns

if TYPE_CHECKING:
    from warehouse.engine import Connection

FOLDERS: Final = ("ddl", "exports")


def apply_layers(connection: Connection) -> None:
    """Create what does not exist yet; where everything is there as the files have it, only read."""
    files = [path for folder in FOLDERS for path in sorted((HERE / folder).glob("*.sql"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    add_missing_columns(connection)
    if _applied(connection) == digest:
        return
    for path in files:
        run_file(connection, path.relative_to(HERE).as_posix())
    execute(
        connection,
        "insert into ops.layers (layers_hash, applied_at) values (%(digest)s, %(now)s)",
        {"digest": digest, "now": datetime.now(UTC).replace(tzinfo=None)},
    )


def _applied(connection: Connection) -> str:
    """The hash of what was applied last; nothing where no ledger is to be seen."""
    query = "select 1 from information_schema.tables where table_schema = 'OPS' and table_name = 'LAYERS'"
    if not execute(connection, query):
        return ""
    rows = execute(connection, "select layers_hash from ops.layers order by applied_at desc limit 1")
    return str(rows[0][0]) if rows else ""
