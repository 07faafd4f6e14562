"""SQL files as statements, and running them. Statements end with a semicolon at the end of a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warehouse.engine import Connection

HERE = Path(__file__).parent


def statements(path: str) -> list[str]:
    """The statements of a file below the package, such as `marts/carts.sql`."""
    pieces = (HERE / path).read_text().split(";\n")
    return [piece for piece in pieces if any(line and not line.startswith("--") for line in piece.splitlines())]


def run_file(connection: Connection, path: str, parameters: Mapping[str, Any] | None = None) -> int:
    """Run a file; returns how many rows its statements said they changed."""
    return sum(_changed(execute(connection, statement, parameters)) for statement in statements(path))


def execute(
    connection: Connection, statement: str, parameters: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run one statement and fetch its rows."""
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    return cursor.fetchall()


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All or nothing: commit at the end, roll back on the way out of an error or an interrupt."""
    execute(connection, "begin")
    try:
        yield
    except BaseException:
        execute(connection, "rollback")
        raise
    execute(connection, "commit")


def create_layers(connection: Connection) -> None:
    """Create what does not exist yet: schemas, tables, views. Changes nothing else."""
    for folder in ("ddl", "exports"):
        for path in sorted((HERE / folder).glob("*.sql")):
            run_file(connection, f"{folder}/{path.name}")


def _changed(rows: list[tuple[Any, ...]]) -> int:
    counts = rows[0] if rows else ()
    return sum(int(count) for count in counts if not isinstance(count, str))
