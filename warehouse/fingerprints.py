"""One number for all rows of a table, whatever their order: what tests and backfills compare.

Each row is hashed in the engine over every column in order, and the hashes are summed twice, so equal tables have
equal fingerprints and nothing is fetched. A hash differs between engines; compare within one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse.statements import execute

PRIMES = (99_999_989, 99_999_971)

if TYPE_CHECKING:
    from warehouse.engine import Connection


def fingerprint(connection: Connection, table: str) -> str:
    """`rows:sum:sum` of a table such as marts.carts."""
    columns = ", ".join(
        f'"{name}"::varchar' if kind.startswith(("VARIANT", "OBJECT", "ARRAY")) else f'"{name}"'
        for name, kind, *_ in execute(connection, f"describe table {table}")
    )
    # The embedded engine adds in float64: remainders keep the sums whole numbers below 2**53, up to 90 M rows.
    sums = ", ".join(f"coalesce(sum(mod(hash({columns}), {prime})), 0)::number(38, 0)" for prime in PRIMES)
    ((count, *totals),) = execute(connection, f"select count(*), {sums} from {table}")  # noqa: S608
    return ":".join(str(int(number)) for number in (count, *totals))


def fingerprints(connection: Connection) -> dict[str, str]:
    """The fingerprint of every table of staging and marts."""
    query = """
        select lower(table_schema) || '.' || lower(table_name)
        from information_schema.tables
        where lower(table_schema) in ('staging', 'marts') and table_type = 'BASE TABLE'
        order by 1
    """
    return {table: fingerprint(connection, table) for (table,) in execute(connection, query)}
