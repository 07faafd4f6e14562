"""The parts of an export: one a month where its rows have a time, else one. Only what changed is written again.

The engine sums a hash over the rows of each month. A month whose sum is that of the export before keeps its file, so
an export costs a reading of the views and the writing of a few months. Erasures and late events change the sums of
their months like anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.exports import EXPORT_VERSION, EXPORTS, OPTIONAL_COLUMNS

from warehouse.fingerprints import PRIMES
from warehouse.manifest import ExportManifest, Part, hash_of
from warehouse.statements import execute

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.engine import Connection
    from warehouse.unload import Unloader

Columns = tuple[tuple[str, str], ...]
ALL: Final = "all"
ROWS_PER_GROUP: Final = 250_000
# A total order for each export, so that the same rows give the same file; a time that comes first makes the months.
ORDER: Final = {
    "purchases": ("purchased_at", "order_id", "item_id"),
    "items": ("item_id",),
    "shoppers": ("shopper_id",),
    "session_events": ("event_time", "session_id", "event_id", "item_id"),
    "impressions": ("shown_at", "recommendation_id", "placement", "index", "item_id"),
    "searches": ("searched_at", "event_id"),
    "reviews": ("reviewed_at", "review_id"),
    "item_popularity": ("day", "item_id"),
}


@dataclass(frozen=True, slots=True)
class PartsPlan:
    """What of an export is kept, and which months are written, with the sums of their rows."""

    name: str
    columns: Columns
    kept: tuple[Part, ...]
    written: Mapping[str, str]  # partition to fingerprint
    is_partial: bool


def month_of(name: str) -> str | None:
    """The month of a row in SQL, as 202601, or None where the export has no time."""
    first = ORDER[name][0]
    return f"year({first}) * 100 + month({first})" if dict(EXPORTS[name])[first].startswith("timestamp") else None


def query_of(name: str, optional: Columns = (), months: tuple[str, ...] = ()) -> str:
    """The query of one export: explicit columns in the contract's order, rows in a total order; some months or all."""
    columns = ", ".join(f"{column} as {column}" for column, _ in (*EXPORTS[name], *optional))
    wanted = ", ".join(month.replace("-", "") for month in months)
    where = f" where {month_of(name)} in ({wanted})" if months else ""
    return f"select {columns} from exports.{name}_{EXPORT_VERSION}{where} order by {', '.join(ORDER[name])}"  # noqa: S608


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
    left = {partition: total for partition, total in sums.items() if partition not in {part.partition for part in kept}}
    return PartsPlan(name, columns, kept, left, bool(kept) and month_of(name) is not None)


def write_parts(unloader: Unloader, root: Path, plan: PartsPlan) -> tuple[Part, ...]:
    """Write the months of the plan below `root`, each under the name of its hash."""
    if not plan.written:
        return ()
    optional = plan.columns[len(EXPORTS[plan.name]) :]
    query = query_of(plan.name, optional, tuple(sorted(plan.written)) if plan.is_partial else ())
    return tuple(
        _write(root, plan, partition, table)
        for partition, table in _by_month(unloader, query, schema_of(plan.name, optional), plan.name)
    )


def _optional(connection: Connection, name: str) -> Columns:
    """The optional columns of which any value is there."""
    columns = OPTIONAL_COLUMNS.get(name, ())
    if not columns:
        return ()
    counts = ", ".join(f"count({column})" for column, _ in columns)
    (found,) = execute(connection, f"select {counts} from exports.{name}_{EXPORT_VERSION}")  # noqa: S608
    return tuple(column for column, count in zip(columns, found, strict=True) if count)


def _sums(connection: Connection, name: str, columns: Columns) -> dict[str, str]:
    month = month_of(name) or "0"
    hashed = ", ".join(column for column, _ in columns)
    sums = ", ".join(f"coalesce(sum(mod(hash({hashed}), {prime})), 0)::number(38, 0)" for prime in PRIMES)
    query = f"select {month} as part, count(*), {sums} from exports.{name}_{EXPORT_VERSION} group by 1"  # noqa: S608
    found = {
        f"{part // 100}-{part % 100:02}" if part else ALL: ":".join(str(int(number)) for number in numbers)
        for part, *numbers in execute(connection, query)
    }
    return found or {ALL: "0"}


def _by_month(unloader: Unloader, query: str, schema: pa.Schema, name: str) -> Iterator[tuple[str, pa.Table]]:
    """The rows of a query, which come in order of time, month by month; no rows are one empty part."""
    import pyarrow as pa
    import pyarrow.compute as pc

    current, held = "", list[Any]()
    for batch in unloader.batches(query):
        table = pa.Table.from_batches([batch]).rename_columns(schema.names).cast(schema)
        times = table[ORDER[name][0]]
        months = pc.strftime(times, format="%Y-%m") if month_of(name) else pa.array([ALL] * table.num_rows)
        for month in pc.unique(months).to_pylist():
            if held and month != current:
                yield current, pa.concat_tables(held)
                held = []
            current = month
            held.append(table.filter(pc.equal(months, month)))
    if held or not current:
        yield current or ALL, pa.concat_tables(held) if held else schema.empty_table()


def _write(root: Path, plan: PartsPlan, partition: str, table: pa.Table) -> Part:
    import pyarrow.parquet as pq

    folder = root / plan.name / EXPORT_VERSION
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{partition}.part"
    # one chunk: however the rows came, the same rows give the same bytes
    pq.write_table(table.combine_chunks(), path, compression="zstd", row_group_size=ROWS_PER_GROUP)
    digest = hash_of(path)
    named = path.rename(folder / f"{partition}-{digest[:16]}.parquet")
    return Part(partition, table.num_rows, digest, named.relative_to(root).as_posix(), plan.written.get(partition, ""))


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us") if kind == "timestamp[us]" else pa.type_for_alias(kind)
