"""Write the exports: Parquet parts by month and the manifest; only what changed, unless all is asked for anew."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.contracts.exports import EXPORTS
from recommender.errors import Conflict

from warehouse.manifest import ExportManifest, of_parts
from warehouse.parts import plan_parts
from warehouse.roots import Root, folder_root
from warehouse.statements import execute

if TYPE_CHECKING:
    from warehouse.engine import Connection
    from warehouse.manifest import Part
    from warehouse.parts import Cut
    from warehouse.ways_out import Unloader


def unload(
    connection: Connection, unloader: Unloader, root: Path, *, source: str, now: datetime, full: bool = False
) -> ExportManifest:
    """Write all exports and their manifest below the folder `root`, replacing what was there."""
    with folder_root(root) as place:
        return unload_to(connection, unloader, place, source=source, now=now, full=full)


def unload_to(
    connection: Connection, unloader: Unloader, root: Root, *, source: str, now: datetime, full: bool = False
) -> ExportManifest:
    """Write all exports and their manifest.

    Months whose rows are those of the export before are taken over as files, unless `full` asks for all anew. Raises
    Conflict where the warehouse is written to meanwhile: the exports would not be of one moment.
    """
    begun = _state(connection)
    before = None if full else root.before()
    files = {}
    for name in EXPORTS:
        plan = plan_parts(connection, name, before)
        for part in plan.kept:
            root.keep(part)
        made = [part for cut in plan.cuts for part in _written(unloader, cut, root)]
        parts = sorted((*plan.kept, *made), key=lambda part: (part.partition, part.path))
        files[name] = of_parts(plan.columns, tuple(parts))
    data_from, data_until = _window(connection)
    derived, watermark = _has_derived(connection), _watermark(connection)
    if _state(connection) != begun:
        raise Conflict("a day was run while the exports were written, so they are not of one moment; export again")
    manifest = ExportManifest(now.isoformat(), data_from, data_until, source, derived, watermark, files)
    root.finish(manifest)
    return manifest


def _written(unloader: Unloader, cut: Cut, root: Root) -> tuple[Part, ...]:
    parts = unloader.write(cut, root)
    if (rows := sum(part.rows for part in parts)) != cut.rows:
        raise Conflict(
            f"{cut.name} of {cut.partition} had {cut.rows} rows when it was counted and {rows} when it was written:"
            " the warehouse changed meanwhile; export again"
        )
    return parts


def _state(connection: Connection) -> list[tuple[Any, ...]]:
    """What any run changes."""
    return execute(connection, "select count(*), max(started_at), max(finished_at) from ops.runs")


def _watermark(connection: Connection) -> str:
    rows = execute(connection, "select max(processed_until) from ops.watermarks where pipeline = 'daily'")
    return rows[0][0].isoformat() if rows[0][0] else ""


def _window(connection: Connection) -> tuple[str, str]:
    query = "select min(purchased_at), max(purchased_at) from exports.purchases_v1"
    ((first, last),) = execute(connection, query)
    return (first.isoformat(), last.isoformat()) if first else ("", "")


def _has_derived(connection: Connection) -> bool:
    query = "select coalesce(max(iff(derived, 1, 0)), 0) from exports.session_events_v1"
    return bool(execute(connection, query)[0][0])
