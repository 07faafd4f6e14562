"""The way into the warehouse: the real Snowflake connector, or the same connector over an embedded engine.

With SNOWFLAKE_ACCOUNT set the connector speaks to Snowflake. Without it, fakesnow answers the same
connector in this process from a DuckDB file, so the SQL below `warehouse/` is the same text on both.

Decisions: docs/decisions/warehouse.md (011).
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.contracts.folders import DATABASE as DATABASE_FOLDER
from recommender.contracts.folders import claim
from recommender.errors import DependencyDown

from warehouse.engine.fakesnow_patches import as_snowflake
from warehouse.engine.statements import Connection
from warehouse.export.unload import LocalUnloader, SnowflakeUnloader, Unloader

DATABASE = "RECOMMENDER"
DATABASE_FILES = (f"{DATABASE}.db", f"{DATABASE}.db.wal")  # of the embedded engine
# What an account may have set otherwise and the SQL relies on. A session that died in a transaction holds its locks
# until Snowflake ends it, five minutes after somebody waits for them: LOCK_TIMEOUT lets a retry outwait that, and no
# more (the default is twelve hours). ABORT_DETACHED_QUERY ends the statement that it left behind.
SESSION: Mapping[str, Any] = {
    "TIMEZONE": "UTC",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "DATE_INPUT_FORMAT": "AUTO",
    "AUTOCOMMIT": True,
    "ERROR_ON_NONDETERMINISTIC_MERGE": True,
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "LOCK_TIMEOUT": 900,
    "ABORT_DETACHED_QUERY": True,
    "QUERY_TAG": "recommender",
}
# The connector would try again without end; a run that is undone and retried by its schedule is better.
TIMEOUTS = {"login_timeout": 60, "network_timeout": 900, "client_session_keep_alive": True}
LOCAL_MEMORY = "2GB"
LOCAL_THREADS = 2


@dataclass(frozen=True, slots=True)
class Warehouse:
    """An open connection and the way out of it."""

    connection: Connection
    unloader: Unloader


@contextmanager
def open_warehouse(environment: Mapping[str, str], *, directory: Path) -> Iterator[Warehouse]:
    """Snowflake where SNOWFLAKE_ACCOUNT is set, else the embedded engine over `directory`."""
    opened = open_snowflake(environment) if environment.get("SNOWFLAKE_ACCOUNT") else open_local(directory)
    with opened as warehouse:
        yield warehouse


@contextmanager
def open_snowflake(environment: Mapping[str, str]) -> Iterator[Warehouse]:
    """A session on the account, user, key file, role and warehouse named by the SNOWFLAKE_… variables."""
    import snowflake.connector

    names = ("account", "user", "private_key_file", "private_key_file_pwd", "role", "warehouse")
    given = {
        name: environment[f"SNOWFLAKE_{name.upper()}"] for name in names if f"SNOWFLAKE_{name.upper()}" in environment
    }
    connection = snowflake.connector.connect(
        **given,
        **TIMEOUTS,
        database=environment.get("SNOWFLAKE_DATABASE", DATABASE),
        session_parameters=dict(SESSION),
    )
    try:
        yield Warehouse(connection, SnowflakeUnloader(connection))
    finally:
        connection.close()


@contextmanager
def open_local(directory: Path) -> Iterator[Warehouse]:
    """The embedded engine with its database file in `directory`.

    Raises DependencyDown where another process has it, and Conflict where the folder is somebody's own.
    """
    import duckdb
    import fakesnow
    import snowflake.connector
    from fakesnow.transforms.stage import LOCAL_BUCKET_PATH

    claim(directory, DATABASE_FOLDER)
    with warnings.catch_warnings(), as_snowflake(), fakesnow.patch(db_path=str(directory)):
        # fakesnow 0.12 fetches results in the way that DuckDB 2 advises against; the rows are right.
        warnings.filterwarnings("ignore", message="Arrow output on a DB-API result", category=UserWarning)
        try:
            connection = snowflake.connector.connect(database=DATABASE, schema="PUBLIC")
        except duckdb.IOException as error:
            raise DependencyDown(
                f"the warehouse in {directory} is in use by another process or broken: {error}"
            ) from error
        duck = connection._duck_conn
        duck.execute(f"set memory_limit = '{LOCAL_MEMORY}'")
        duck.execute(f"set threads = {LOCAL_THREADS}")
        _end_leases_of_the_dead(duck)
        try:
            yield Warehouse(connection, LocalUnloader(duck))
        finally:
            duck.execute("checkpoint")
            connection.close()
            shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)  # fakesnow's stages; it leaves them in /tmp


def _end_leases_of_the_dead(duck: Any) -> None:
    """The file was free to be opened, so whoever held a lease in it is no more."""
    query = "select 1 from duckdb_tables() where schema_name = 'OPS' and table_name = 'LEASES'"
    if duck.execute(query).fetchall():
        duck.execute("update ops.leases set token = null, holder = null where token is not null")
