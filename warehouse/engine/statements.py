"""SQL files as statements, and running them. Statements end with a semicolon at the end of a line.

An engine that goes away in the middle raises DependencyDown with the file's name, two writers at the same
rows raise Conflict; every other error of the engine is a mistake in the SQL or in the data and passes as it is.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from recommender.errors import Conflict, DependencyDown

HERE = Path(__file__).parents[1] / "sql"
# Snowflake's numbers of a session that is gone: connection failures are 250xxx, expired sessions 390xxx.
GONE = (range(250000, 251000), range(390100, 390200))
LOCKED = 625  # "has locked table … and this lock has not yet been released"


def statements(path: str) -> list[str]:
    """The statements of a file below the package, such as `marts/carts.sql`."""
    pieces = (HERE / path).read_text().split(";\n")
    return [piece for piece in pieces if any(line and not line.startswith("--") for line in piece.splitlines())]


def run_file(connection: Connection, path: str, parameters: Mapping[str, Any] | None = None) -> int:
    """Run a file; returns how many rows its statements said they changed."""
    return sum(changed(execute(connection, statement, parameters, source=path)) for statement in statements(path))


def execute(
    connection: Connection, statement: str, parameters: Mapping[str, Any] | None = None, *, source: str = ""
) -> list[tuple[Any, ...]]:
    """Run one statement and fetch its rows; `source` is what an error calls it, by default its first words."""
    try:
        cursor = connection.cursor()
        cursor.execute(statement, parameters)
        return cursor.fetchall()
    except engine_errors() as error:
        name = source or " ".join(statement.split()[:4])
        if _is_gone(error):
            raise DependencyDown(f"the warehouse went away in {name}: {type(error).__name__}") from error
        if type(error).__name__ == "TransactionException" or getattr(error, "errno", None) == LOCKED:
            raise Conflict(f"another session writes the same rows as {name}; run it again") from error
        raise


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All or nothing: commit at the end, roll back on the way out of an error or an interrupt."""
    execute(connection, "begin")
    try:
        yield
        execute(connection, "commit")
    except BaseException:
        # An engine that is gone has rolled back by itself, and the first error has the cause.
        with contextlib.suppress(DependencyDown):
            execute(connection, "rollback")
        raise


def changed(rows: list[tuple[Any, ...]]) -> int:
    """Return the number of rows that a statement changed."""
    counts = rows[0] if rows else ()
    return sum(int(count) for count in counts if not isinstance(count, str))


def engine_errors() -> tuple[type[Exception], ...]:
    """The errors of the engines that are loaded; evaluated only where something was raised."""
    names = (("snowflake.connector.errors", "Error"), ("duckdb", "Error"))
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def _is_gone(error: Exception) -> bool:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "duckdb" in type(error).__module__:  # a full disk, a broken file, an engine that gave itself up
        return bool(kinds & {"IOException", "FatalException", "ConnectionException", "OutOfMemoryException"})
    errno = getattr(error, "errno", None) or -1
    return bool(kinds & {"OperationalError", "InterfaceError"}) or any(errno in numbers for numbers in GONE)


class Cursor(Protocol):
    """The part of a connector's cursor that is used."""

    def execute(self, command: str, params: Mapping[str, Any] | None = None) -> Any:
        """Run one statement."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows of the last statement."""


class Connection(Protocol):
    """The part of a connector's connection that is used."""

    def cursor(self) -> Cursor:
        """A new cursor."""
