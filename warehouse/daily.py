"""What the schedule calls, one function a task: load what has landed, run the day, hand the exports on.

Each takes an open warehouse and plain values, so the same functions run under Airflow, in a test and by hand.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.landing import load_landing, load_stage
from warehouse.manifest import ExportManifest
from warehouse.roots import remove_old_days, s3_root
from warehouse.unload import unload, unload_to

if TYPE_CHECKING:
    from warehouse.engine import Connection, Warehouse

SOURCE = "shop"


def load_landed(connection: Connection, landing: str, *, loaded_at: datetime) -> int:
    """Load new landed events from a stage ("@raw.landing/events/") or a folder; returns their number."""
    if landing.startswith("@"):
        return load_stage(connection, landing, loaded_at=loaded_at)
    return load_landing(connection, Path(landing), loaded_at=loaded_at).events


def export_to(warehouse: Warehouse, target: str, *, now: datetime, s3: Any = None, full: bool = False) -> str:
    """`write_exports`, for a task that hands on where they are."""
    write_exports(warehouse, target, now=now, s3=s3, full=full)
    return target


def write_exports(
    warehouse: Warehouse, target: str, *, now: datetime, s3: Any = None, full: bool = False
) -> ExportManifest:
    """Unload below `target`, a folder or an s3:// prefix. `s3` is a boto3 client.

    A target that is named by its day takes over what the newest day before it has in common with it, unless `full`
    asks for all anew. Folders of days that are too old are removed; on S3 the bucket's lifecycle does that.
    """
    connection, unloader = warehouse.connection, warehouse.unloader
    if target.startswith("s3://"):
        with s3_root(s3, target) as root:
            return unload_to(connection, unloader, root, source=SOURCE, now=now, full=full)
    manifest = unload(connection, unloader, Path(target), source=SOURCE, now=now, full=full)
    remove_old_days(Path(target))
    return manifest
