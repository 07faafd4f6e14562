"""The parts of an export: one a month where its rows have a time, else one. Only what changed is written again.

The engine sums a hash over the rows of each month. A month whose sum is that of the export before keeps its files, so
an export costs a reading of the views and the writing of a few months. Erasures and late events change the sums of
their months like anything else.

One number for all rows of a table, whatever their order: what tests and backfills compare.

Each row is hashed in the engine over every column in order, and the hashes are summed twice, so equal tables have
equal fingerprints and nothing is fetched. A hash differs between engines; compare within one.

Decisions: docs/decisions/schedule.md (163).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommender.contracts.exports import (
    ALL,
    EXPORT_VERSION,
    EXPORTS,
    OPTIONAL_COLUMNS,
    ORDER,
    TIME,
    ExportManifest,
    Part,
    time_of,
)
from recommender.errors import ArtifactRefused

from warehouse.engine.statements import execute

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.engine.statements import Connection


PRIMES = (99_999_989, 99_999_971)


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


Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """One part: a month of an export, or all of one without a time; with the sums of its rows."""

    name: str
    partition: str
    columns: Columns
    rows: int
    fingerprint: str

    @property
    def folder(self) -> str:
        """Where its files lie, relative to the root."""
        return f"{self.name}/{EXPORT_VERSION}"


@dataclass(frozen=True, slots=True)
class PartsPlan:
    """The parts of an export that are kept, and those to write."""

    columns: Columns
    kept: tuple[Part, ...]
    cuts: tuple[Cut, ...]


def query_of(name: str, optional: Columns = (), partition: str = ALL) -> str:
    """The query of a month of an export or of all of it: explicit columns as the contract has them, in its order."""
    columns = ", ".join(f"{column} as {column}" for column, _ in (*EXPORTS[name], *optional))
    return f"select {columns} {rows_of(name, partition)}"


def rows_of(name: str, partition: str) -> str:
    """Write the end of a query, after the columns: the view, the month as a range of times, the order."""
    where = ""
    if partition != ALL:
        year, month = map(int, partition.split("-"))
        following = f"{year + month // 12}-{month % 12 + 1:02}"
        time = time_of(name)
        where = f" where {time} >= timestamp '{partition}-01 00:00:00' and {time} < timestamp '{following}-01 00:00:00'"
    return f"from exports.{name}_{EXPORT_VERSION}{where} order by {', '.join(ORDER[name])}"


def schema_of(name: str, optional: Columns = ()) -> pa.Schema:
    """The contract's columns as an Arrow schema."""
    import pyarrow as pa

    return pa.schema([(column, _arrow_type(kind)) for column, kind in (*EXPORTS[name], *optional)])


def plan_parts(connection: Connection, name: str, before: ExportManifest | None) -> PartsPlan:
    """Compare the months in the warehouse with those of the export before."""
    columns = (*EXPORTS[name], *_optional(connection, name))
    sums = _sums(connection, name, columns)
    old = before.files[name] if before is not None else None
    same = old is not None and old.columns == columns
    kept = tuple(part for part in old.parts if sums.get(part.partition) == part.fingerprint) if old and same else ()
    months = {part.partition for part in kept}
    cuts = (
        Cut(name, partition, columns, int(total.split(":")[0]), total)
        for partition, total in sorted(sums.items())
        if partition not in months
    )
    return PartsPlan(columns, kept, tuple(cuts))


def _optional(connection: Connection, name: str) -> Columns:
    """The optional columns of which any value is there."""
    columns = OPTIONAL_COLUMNS.get(name, ())
    if not columns:
        return ()
    counts = ", ".join(f"count({column})" for column, _ in columns)
    (found,) = execute(connection, f"select {counts} from exports.{name}_{EXPORT_VERSION}")  # noqa: S608
    return tuple(column for column, count in zip(columns, found, strict=True) if count)


def _sums(connection: Connection, name: str, columns: Columns) -> dict[str, str]:
    """`rows:sum:sum` of each month; of an export without rows, of its one empty part."""
    time = time_of(name)
    month = f"year({time}) * 100 + month({time})" if time else "0"
    hashed = ", ".join(column for column, _ in columns)
    sums = ", ".join(f"coalesce(sum(mod(hash({hashed}), {prime})), 0)::number(38, 0)" for prime in PRIMES)
    query = f"select {month} as part, count(*), {sums} from exports.{name}_{EXPORT_VERSION} group by 1"  # noqa: S608
    rows = execute(connection, query)
    if lost := [count for part, count, *_ in rows if part is None]:
        raise ArtifactRefused(f"exports.{name}_{EXPORT_VERSION} has {lost[0]} rows without {time}; a part is a month")
    found = {
        f"{part // 100}-{part % 100:02}" if part else ALL: ":".join(str(int(number)) for number in numbers)
        for part, *numbers in rows
    }
    return found or {ALL: "0"}


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us") if kind == TIME else pa.type_for_alias(kind)
