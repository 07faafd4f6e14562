"""What the schedule calls, one function a task: load what has landed, run the day, hand the exports on.

Each takes an open warehouse and plain values, so the same functions run under Airflow, in a test and by hand.
"""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from warehouse.landing import load_landing, load_stage
from warehouse.manifest import MANIFEST, ExportManifest
from warehouse.unload import unload

if TYPE_CHECKING:
    from warehouse.engine import Connection, Warehouse

SOURCE = "shop"


def load_landed(connection: Connection, landing: str, *, loaded_at: datetime) -> int:
    """Load new landed events from a stage ("@raw.landing/events/") or a folder; returns their number."""
    if landing.startswith("@"):
        return load_stage(connection, landing, loaded_at=loaded_at)
    return load_landing(connection, Path(landing), loaded_at=loaded_at).events


def export_to(warehouse: Warehouse, target: str, *, now: datetime, s3: Any = None) -> str:
    """Unload below `target`, a folder or an s3:// prefix, and return it. `s3` is a boto3 client."""
    if not target.startswith("s3://"):
        _unload(warehouse, Path(target), now)
        return target
    address = urlsplit(target)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "exports"
        manifest = _unload(warehouse, root, now)
        # The manifest last: until it is there, nobody takes the files for an export.
        for path in (*manifest.paths, MANIFEST):
            s3.upload_file(str(root / path), address.netloc, f"{address.path.strip('/')}/{path}")
    return target


def _unload(warehouse: Warehouse, root: Path, now: datetime) -> ExportManifest:
    return unload(warehouse.connection, warehouse.unloader, root, source=SOURCE, now=now)
