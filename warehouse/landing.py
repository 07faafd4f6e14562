"""Events that the running shop has landed: JSON lines, one accepted record a line, into raw.events.

`deliver_events` writes immutable files, so a file is one load. In AWS the files lie behind a stage, COPY INTO
reads them and its load history knows which it has read. From a folder of this machine the path is the load
id, and a line that is not the record of an event is kept in ops.rejected_lines with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from recommender.contracts.events import EVENT_COLUMNS, EVENT_NAMES

from warehouse.loading import append, is_loaded
from warehouse.statements import execute, transaction
from warehouse.tables import RAW

if TYPE_CHECKING:
    from warehouse.engine import Connection

REQUIRED = tuple(column.name for column in EVENT_COLUMNS if column.required)
TEXTS = tuple(column.name for column in EVENT_COLUMNS if column.json_type == "string" and column.name != "event_time")
SCHEMA = {
    **dict.fromkeys((name for name, _ in RAW["events"]), pl.String),
    "event_time": pl.Datetime("us"),
    "visible": pl.Boolean,
    "derived": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class Landed:
    """What was loaded: files, events, and lines that were no events."""

    files: int = 0
    events: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line, counted from 1, and what is wrong with it."""

    line_number: int
    reason: str


def load_stage(connection: Connection, stage: str, *, loaded_at: datetime) -> int:
    """Load the files below `stage` that COPY INTO has not read yet; returns the number of events."""
    names = ", ".join(name for name, _ in RAW["events"])
    values = ", ".join(f"record:{name}" + ("" if kind == "variant" else f"::{kind}") for name, kind in RAW["events"])
    with transaction(connection):
        execute(connection, f"copy into ops.landed_records from {stage} file_format = (type = json)")
        ((count,),) = execute(
            connection,
            f"insert into raw.events ({names}, loaded_at)"  # noqa: S608 - names are this package's own
            f" select {values}, %(loaded_at)s::timestamp_ntz from ops.landed_records",
            {"loaded_at": loaded_at},
        )
        execute(connection, "delete from ops.landed_records")
    return int(count)


def load_landing(connection: Connection, folder: Path, *, loaded_at: datetime) -> Landed:
    """Load every file below `folder` that the ledger does not know yet. `loaded_at` is naive UTC."""
    files = events = rejected = 0
    for path in sorted(folder.rglob("*.jsonl")):
        load_id = f"landing/{path.relative_to(folder).as_posix()}"
        if is_loaded(connection, load_id):
            continue
        frame, rejections = read_lines(path)
        _keep(connection, load_id, rejections, loaded_at)
        events += append(connection, "events", frame, load_id=load_id, loaded_at=loaded_at)
        files, rejected = files + 1, rejected + len(rejections)
    return Landed(files, events, rejected)


def read_lines(path: Path) -> tuple[pl.DataFrame, list[Rejection]]:
    """The events of a file with the columns of raw.events, and the lines that are none."""
    rows, rejections = [], []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            rejections.append(Rejection(number, f"{type(error).__name__}: {error}"[:512]))
    return pl.DataFrame(rows, schema=SCHEMA), rejections


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    if missing := [name for name in REQUIRED if not record[name]]:
        raise ValueError(f"{', '.join(missing)} must not be empty")
    if record["event_name"] not in EVENT_NAMES:
        raise ValueError(f"event_name is {record['event_name']!r}, expected one of {', '.join(EVENT_NAMES)}")
    time = datetime.fromisoformat(record["event_time"])
    if time.tzinfo is None:
        raise ValueError(f"event_time is {record['event_time']!r}, expected a zone")
    claims = record.get("claims")
    return {
        **{name: record.get(name) for name in TEXTS},
        "event_time": (time - time.utcoffset()).replace(tzinfo=None),  # type: ignore[operator]
        "items": json.dumps(record.get("items") or []),
        "visible": bool(record.get("visible")),
        "derived": bool(record.get("derived")),
        "claims": None if claims is None else json.dumps(claims),
    }


def _keep(connection: Connection, file: str, rejections: list[Rejection], loaded_at: datetime) -> None:
    execute(connection, "delete from ops.rejected_lines where file = %(file)s", {"file": file})
    for rejection in rejections:
        execute(
            connection,
            "insert into ops.rejected_lines (file, line_number, reason, loaded_at)"
            " values (%(file)s, %(line)s, %(reason)s, %(loaded_at)s)",
            {"file": file, "line": rejection.line_number, "reason": rejection.reason, "loaded_at": loaded_at},
        )
