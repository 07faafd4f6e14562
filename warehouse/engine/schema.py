"""A warehouse that an earlier version made: columns it lacks are added, and what cannot be added is named.

`create table if not exists` never changes a table, so a column that is new in `ddl/` would be missing for good.
The DDL stays the one description: what it declares is compared with what is there. A column that may not be
null has no value for the rows that are there; such a table of staging or marts is derived anew from raw.

Whether the layers are there as their files describe them, so that a session that finds them needs to create nothing.

On Snowflake only the administrator may create schemas and replace views: `create … if not exists` asks for the
privilege even where the thing exists. What was applied is written down by its hash, and a task of the schedule,
whose role may read and write rows and no more, sends no DDL at all. What a session may not see it cannot miss, so the
hash alone decides; whoever drops a table deletes it as well.

Decisions: docs/decisions/warehouse.md (184, 194).
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from recommender.errors import ArtifactRefused

from warehouse.engine.locks import end_lease, take_lease
from warehouse.engine.statements import HERE, Connection, execute, run_file, transaction

DDL: Final = HERE / "ddl"
TABLE: Final = re.compile(r"^create (?:transient )?table if not exists (\S+) \(\n(.*?)\n\);", re.MULTILINE | re.DOTALL)
COLUMN: Final = re.compile(r"^ {4}(?!primary key)(\w+) (.+?),?$", re.MULTILINE)
VIEW: Final = re.compile(r"^create or replace view (\S+) as$", re.MULTILINE)
DERIVED: Final = ("STAGING", "MARTS")


def declared_tables() -> dict[str, dict[str, str]]:
    """Every table of the DDL: its columns by name, each with its type and whether it may be null."""
    return {table: dict(COLUMN.findall(body)) for table, body in TABLE.findall(_text())}


def add_missing_columns(connection: Connection) -> tuple[str, ...]:
    """Add what the DDL has and the tables lack; returns `table.column` of each. Call it outside a transaction.

    Raises ArtifactRefused, before anything is changed, where a table cannot be brought up to date like this.
    """
    present = _present(connection)
    missing = {
        (table, name): kind
        for table, columns in declared_tables().items()
        if table in present
        for name, kind in columns.items()
        if name not in present[table]
    }
    stuck = [f"{table} lacks {name}" for (table, name), kind in missing.items() if kind.endswith("not null")]
    stuck += [f"{view} is a table" for view in VIEW.findall(_text()) if view in present]
    if stuck:
        raise ArtifactRefused(
            f"an earlier version made this warehouse: {', '.join(stuck)}; derive staging and marts anew from raw with"
            " `recommender warehouse backfill --anew` over all its days",
            code="warehouse_outdated",
        )
    for (table, name), kind in missing.items():
        execute(connection, f"alter table {table} add column if not exists {name} {kind}")
    return tuple(f"{table}.{name}" for table, name in missing)


def drop_derived(connection: Connection) -> None:
    """Forget the watermark, staging and marts; raw, ops and quality stay. `create_layers` makes them anew.

    The watermark goes first: whatever is lost on the way, the next run takes everything that was ever loaded.
    """
    lease = (
        take_lease(connection, "daily", purpose="deriving everything anew")
        if "ops.leases" in _present(connection)
        else None
    )
    execute(connection, "delete from ops.watermarks")
    if "ops.layers" in _present(connection):
        execute(connection, "delete from ops.layers")
    query = f"""
        select lower(table_schema) || '.' || lower(table_name), table_type from information_schema.tables
        where table_schema in {DERIVED}
    """  # noqa: S608
    for name, kind in execute(connection, query):
        execute(connection, f"drop {'view' if kind == 'VIEW' else 'table'} if exists {name}")
    if lease is not None:
        with transaction(connection):
            end_lease(connection, lease)


def _present(connection: Connection) -> dict[str, set[str]]:
    query = """
        select lower(tables.table_schema) || '.' || lower(tables.table_name), lower(columns.column_name)
        from information_schema.tables as tables
        inner join information_schema.columns as columns
            on tables.table_schema = columns.table_schema and tables.table_name = columns.table_name
        where tables.table_type = 'BASE TABLE'
    """
    present: dict[str, set[str]] = {}
    for table, column in execute(connection, query):
        present.setdefault(table, set()).add(column)
    return present


def _text() -> str:
    return "\n".join(path.read_text() for path in sorted(DDL.glob("*.sql")))


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


def create_layers(connection: Connection) -> None:
    """Create what does not exist yet: schemas, tables, columns, views. Changes nothing else."""
    apply_layers(connection)
