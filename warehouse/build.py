"""Build the warehouse on one machine: a source's history in bulk, then daily increments, then the exports.

What was built is written to `built.json` when everything is done. A second call that finds it, with the
same source and the same code, and finds the exports whole, has nothing to do. A folder without it is what an
interrupted build left, and is thrown away.

Decisions: docs/decisions/warehouse.md (014).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.contracts.exports import read_whole_export
from recommender.contracts.folders import DATABASE, claim
from recommender.errors import ArtifactRefused

from warehouse.connect import DATABASE_FILES, Warehouse, open_local
from warehouse.day.day import REPORTED, run_day
from warehouse.engine.schema import create_layers
from warehouse.engine.statements import HERE, execute
from warehouse.export.unload import unload
from warehouse.raw.landed_events import Landed, load_landing
from warehouse.raw.raw_append import append
from warehouse.sources import complete_journey, generated

if TYPE_CHECKING:
    from warehouse.sources.history import History

BUILT = "built.json"
COUNT_INCREMENTS = 3
LAYERS = {
    "raw": ("events", "purchases", "items", "shoppers", "reviews"),
    "staging": ("stg_events", "stg_purchases", "stg_items", "stg_shoppers", "stg_reviews"),
    "marts": (
        "order_lines",
        "session_events",
        "sessions",
        "browse_sequences",
        "searches",
        "carts",
        "impressions",
        "items",
        "item_history",
        "shoppers",
        "shopper_profiles",
        "reviews",
        "item_popularity_daily",
    ),
}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The source to build from, and for the generated one its size and seed."""

    source: str
    shoppers: int = 300
    items: int = 400
    days: int = 120
    seed: int = 7

    def fingerprint(self) -> str:
        """Changes with the plan and with the warehouse's code, not with the day."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        for path in sorted(path for path in HERE.rglob("*") if path.suffix in (".py", ".sql")):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def load(self, today: date) -> History:
        """The source's history up to `today`."""
        if self.source == complete_journey.SOURCE:
            return complete_journey.load(today)
        shop = generated.Shop(shoppers=self.shoppers, items=self.items, days=self.days)
        return generated.load(today, shop=shop, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the database file and the exports are, and where the running shop lands its events."""

    database: Path
    exports: Path
    landing: Path | None = None


def count_steps() -> int:
    """Count the progress reports of a whole build."""
    return 1 + (1 + COUNT_INCREMENTS) * (1 + len(REPORTED)) + 1


def build(plan: Plan, paths: Paths, *, now: datetime, rebuild: bool, on_step: Progress) -> dict[str, Any]:
    """Build what is missing; returns the summary. `now` is naive UTC."""
    if rebuild or not _is_built(plan, paths):
        return _build_all(plan, paths, now=now, on_step=on_step)
    if paths.landing is not None and paths.landing.is_dir():
        return _add_landed(paths, paths.landing, now=now, on_step=on_step)
    return {**_read_built(paths), "did": "nothing"}


def _build_all(plan: Plan, paths: Paths, *, now: datetime, on_step: Progress) -> dict[str, Any]:
    started = time.perf_counter()
    claim(paths.database, DATABASE)
    _clear(paths.database)
    on_step(f"reading {plan.source}")
    history = plan.load(now.date())
    with open_local(paths.database) as warehouse:
        create_layers(warehouse.connection)
        increments = _replay(warehouse, history, on_step)
        landed = _land_and_run(warehouse, paths.landing, now=now, on_step=on_step)
        summary = {
            "did": "build",
            "source": history.source,
            "derived": history.derived,
            "shifted_weeks": history.shifted_weeks,
            "increments": increments,
            "landed": asdict(landed),
            "fingerprint": plan.fingerprint(),
            **_finish(warehouse, paths, history.source, now=now, on_step=on_step),
        }
    summary["seconds"] = round(time.perf_counter() - started, 2)
    _write_built(paths, summary)
    return summary


def _replay(warehouse: Warehouse, history: History, on_step: Progress) -> list[dict[str, Any]]:
    """Load and run each delivery on its day, the bulk first."""
    runs = []
    for loaded_at, frames in history.deliveries(COUNT_INCREMENTS):
        started = time.perf_counter()
        # The bulk is loaded on the eve of the first run; a night's delivery is run on the day it arrives.
        day = history.first_run(COUNT_INCREMENTS) if "items" in frames else loaded_at.date()
        on_step(f"{day} load")
        rows = {
            name: append(
                warehouse.connection,
                name,
                frame,
                load_id=f"{history.source}/{loaded_at:%Y-%m-%d}/{name}",
                loaded_at=loaded_at,
            )
            for name, frame in frames.items()
        }
        run = run_day(warehouse.connection, day, on_step=_of(day, on_step))
        seconds = round(time.perf_counter() - started, 2)
        runs.append({"day": str(day), "rows": rows, "seconds": seconds, "warnings": list(run.warnings)})
    return runs


def _of(day: date, on_step: Progress) -> Progress:
    return lambda step: on_step(f"{day} {step}")


def _land_and_run(warehouse: Warehouse, folder: Path | None, *, now: datetime, on_step: Progress) -> Landed:
    if folder is None or not folder.is_dir():
        return Landed()
    landed = load_landing(warehouse.connection, folder, loaded_at=now)
    if landed.events:
        run_day(warehouse.connection, now.date(), on_step=_of(now.date(), on_step))
    return landed


def _add_landed(paths: Paths, folder: Path, *, now: datetime, on_step: Progress) -> dict[str, Any]:
    """Take new landed files into a warehouse that is built; export again only where there were some."""
    started = time.perf_counter()
    built = _read_built(paths)
    with open_local(paths.database) as warehouse:
        landed = _land_and_run(warehouse, folder, now=now, on_step=on_step)
        if not landed.events:
            return {**built, "did": "nothing", "landed": asdict(landed)}
        (paths.database / BUILT).unlink()
        finished = _finish(warehouse, paths, built["source"], now=now, on_step=on_step)
    summary = {**built, **finished, "landed": asdict(landed), "seconds": round(time.perf_counter() - started, 2)}
    _write_built(paths, summary)
    return {**summary, "did": "increment"}


def _finish(warehouse: Warehouse, paths: Paths, source: str, *, now: datetime, on_step: Progress) -> dict[str, Any]:
    """Export, and count the rows of every layer."""
    on_step("exports")
    manifest = unload(warehouse.connection, warehouse.unloader, paths.exports, source=source, now=now)
    rows = {
        layer: {
            table: int(execute(warehouse.connection, f"select count(*) from {layer}.{table}")[0][0])  # noqa: S608
            for table in tables
        }
        for layer, tables in LAYERS.items()
    }
    exported = {name: entry.rows for name, entry in manifest.files.items()}
    return {"rows": {**rows, "exports": exported}, "data_from": manifest.data_from, "data_until": manifest.data_until}


def _clear(database: Path) -> None:
    """Delete what a build makes, and nothing else that may stand in the folder."""
    for name in (BUILT, f"{BUILT}.part", *DATABASE_FILES):
        (database / name).unlink(missing_ok=True)


def _is_built(plan: Plan, paths: Paths) -> bool:
    try:
        built = _read_built(paths)
        read_whole_export(paths.exports)
    except (ArtifactRefused, OSError, ValueError):
        return False
    return bool(built.get("fingerprint") == plan.fingerprint())


def _read_built(paths: Paths) -> dict[str, Any]:
    built: dict[str, Any] = json.loads((paths.database / BUILT).read_text())
    return built


def _write_built(paths: Paths, summary: dict[str, Any]) -> None:
    part = paths.database / f"{BUILT}.part"
    part.write_text(json.dumps(summary, indent=2) + "\n")
    part.replace(paths.database / BUILT)
