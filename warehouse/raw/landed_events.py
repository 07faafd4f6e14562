"""Events that the running shop has landed: JSON lines, one accepted record a line, into raw.events.

`deliver_events` writes immutable files, so a file is one load. In AWS the files lie behind a stage, COPY INTO
reads them and its load history knows which it has read. From a folder of this machine the path is the load
id, and a line that is not the record of an event is kept in ops.rejected_lines with the reason.

Take back a delivery that no run has taken yet: what a day that was stopped by its checks needs.

Raw is append-only, so rows that a check refuses would stop every later run as well. A delivery is what came into a
table at one moment, since rows know no more of their load. One that a run has taken is in staging and marts: it is put
right by delivering the corrected rows, because the newest delivery of a key wins.

Decisions: docs/decisions/warehouse.md (186, 195).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import polars as pl
from recommender.contracts.event_kinds import EVENT_NAMES
from recommender.contracts.events import EVENT_COLUMNS
from recommender.errors import Conflict, DependencyDown, NotFound

from warehouse.engine.locks import end_lease, leased, take_lease
from warehouse.engine.statements import changed, execute, transaction
from warehouse.raw.raw_append import admit, is_loaded, load, record_load
from warehouse.tables import RAW

if TYPE_CHECKING:
    from warehouse.engine.statements import Connection


PIPELINE = "landing"
REQUIRED = tuple(column.name for column in EVENT_COLUMNS if column.required)
# What a landed record holds today: the contract, the verified claims, and what only the reward counters read.
KNOWN = frozenset(column.name for column in EVENT_COLUMNS) | {"claims", "rewards"}
TEXTS = tuple(column.name for column in EVENT_COLUMNS if column.json_type == "string" and column.name != "event_time")
SCHEMA = {
    **dict.fromkeys((name for name, _ in RAW["events"]), pl.String),
    "event_time": pl.Datetime("us"),
    "visible": pl.Boolean,
    "derived": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class Landed:
    """The result of a load: files, events, lines that were no events, and keys of records that raw did not have."""

    files: int = 0
    events: int = 0
    rejected: int = 0
    new_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line, counted from 1, and what is wrong with it."""

    line_number: int
    reason: str


def load_stage(connection: Connection, stage: str, *, loaded_at: datetime) -> int:
    """Load the files below `stage` that COPY INTO has not read yet; returns the number of events.

    COPY and its load history are one step, the way from ops.landed_records into raw.events another: between them a
    key that is new may add a column, which no transaction survives. What a killed run left there, the next one takes.
    Of two at once the later takes the lease over, and the commit of the earlier fails: on Snowflake a statement sees
    what others committed before it, so one could delete what the other has only just put there.
    """
    lease = take_lease(connection, PIPELINE, purpose=f"the load of {stage}", holder=stage)
    try:
        with transaction(connection):
            execute(
                connection,
                f"copy into ops.landed_records from {stage} file_format = (type = json strip_null_values = true)",
            )
        extra = _new_keys(connection, stage, loaded_at)
        with transaction(connection):
            count = _take_in(connection, stage, extra, loaded_at)
            end_lease(connection, lease)
    except BaseException:
        with contextlib.suppress(DependencyDown, Conflict):
            end_lease(connection, lease)
        raise
    return count


def _take_in(connection: Connection, stage: str, extra: tuple[str, ...], loaded_at: datetime) -> int:
    """Into raw.events and the ledger, what lies in ops.landed_records."""
    names = ", ".join([*(name for name, _ in RAW["events"]), *(f'"{name.upper()}"' for name in extra)])
    values = [_column(name, kind) for name, kind in RAW["events"]] + [f"record['{name}']::varchar" for name in extra]
    ((count,),) = execute(
        connection,
        f"insert into raw.events ({names}, loaded_at)"  # noqa: S608 - names are this package's own or checked
        f" select {', '.join(values)}, %(loaded_at)s::timestamp_ntz from ops.landed_records",
        {"loaded_at": loaded_at},
    )
    execute(connection, "delete from ops.landed_records")
    if count:
        load_id = f"{stage}{loaded_at.isoformat()}/{uuid4().hex}"
        record_load(connection, "events", int(count), load_id=load_id, loaded_at=loaded_at)
    return int(count)


def _column(name: str, kind: str) -> str:
    """The column of a landed record in SQL that no record makes fail: a misfit is null, and a check reports it.

    JSON null is a value and not null; a text with a zone would lose it in a cast to timestamp_ntz; Snowflake refuses
    a text that is longer than its column, with all that came with it.
    """
    text = f"record:{name}::varchar"
    if kind == "variant":
        return f"iff({text} is null, null, record:{name})"
    if kind == "timestamp_ntz":
        return f"convert_timezone('UTC', try_cast({text} as timestamp_tz))::timestamp_ntz"
    if kind.startswith("varchar("):
        return f"iff(length({text}) <= {kind.removeprefix('varchar(').removesuffix(')')}, {text}, null)"
    return f"try_cast({text} as {kind})"


def _new_keys(connection: Connection, stage: str, loaded_at: datetime) -> tuple[str, ...]:
    """Keys of the records beyond the contract that raw.events has, or has now; values are text until it names them."""
    query = """
        select distinct keys.key from ops.landed_records, lateral flatten(input => record) as keys
        where keys.key is not null
    """
    keys = sorted({key for (key,) in execute(connection, query)} - KNOWN)
    if not keys:
        return ()
    frame = pl.DataFrame(schema=dict.fromkeys(keys, pl.String))
    taken, _ = admit(connection, "events", frame, load_id=stage, loaded_at=loaded_at)
    return tuple(name for name, _ in taken)


def load_landing(connection: Connection, folder: Path, *, loaded_at: datetime) -> Landed:
    """Load every file below `folder` that the ledger does not know yet. `loaded_at` is naive UTC."""
    files = events = rejected = 0
    added: list[str] = []
    for path in sorted(folder.rglob("*.jsonl")):
        load_id = f"landing/{path.relative_to(folder).as_posix()}"
        if is_loaded(connection, load_id):
            continue
        frame, rejections = read_lines(path)
        _keep(connection, load_id, rejections, loaded_at)
        loaded = load(connection, "events", frame, load_id=load_id, loaded_at=loaded_at)
        files, events, rejected = files + 1, events + loaded.rows, rejected + len(rejections)
        added += loaded.additions.added
    return Landed(files, events, rejected, tuple(added))


def read_lines(path: Path) -> tuple[pl.DataFrame, list[Rejection]]:
    """The events of a file with the columns of raw.events and any new ones as text, and the lines that are none."""
    rows, rejections = [], []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            rejections.append(Rejection(number, f"{type(error).__name__}: {error}"[:512]))
    extra = sorted({name for row in rows for name in row} - set(SCHEMA))
    schema = {**SCHEMA, **dict.fromkeys(extra, pl.String)}
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema), rejections


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
        **{name: _as_text(value) for name, value in record.items() if name not in KNOWN},
    }


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)


def _keep(connection: Connection, file: str, rejections: list[Rejection], loaded_at: datetime) -> None:
    execute(connection, "delete from ops.rejected_lines where file = %(file)s", {"file": file})
    for rejection in rejections:
        execute(
            connection,
            "insert into ops.rejected_lines (file, line_number, reason, loaded_at)"
            " values (%(file)s, %(line)s, %(reason)s, %(loaded_at)s)",
            {"file": file, "line": rejection.line_number, "reason": rejection.reason, "loaded_at": loaded_at},
        )


# By a run of ops.runs: its window has the moment, and it began later; a night's window reaches to the end of its day.
TAKEN = (
    "runs.status = 'done' and runs.loaded_from <= {moment} and runs.loaded_until > {moment}"
    " and runs.started_at >= {moment}"
)


def withdraw(connection: Connection, table: str, loaded_at: datetime) -> int:
    """Delete what came into raw.`table` at that moment and forget that it was loaded; rows deleted.

    Raises NotFound where nothing came then, Conflict where a run has taken it.
    """
    delivery = {"table": table, "at": loaded_at}
    with leased(connection, "daily", purpose=f"the withdrawal from raw.{table}"):
        taken_at = TAKEN.format(moment="%(at)s::timestamp_ntz")
        query = f"select runs.first_day, runs.last_day from ops.runs as runs where {taken_at} limit 1"  # noqa: S608
        if taken := execute(connection, query, delivery):
            raise Conflict(
                f"what came at {loaded_at} was taken by the run of {taken[0][0]} to {taken[0][1]}; deliver the rows"
                " again, corrected",
                code="already_processed",
            )
        count = 0
        if table in RAW:
            statement = f"delete from raw.{table} where loaded_at = %(at)s::timestamp_ntz"  # noqa: S608
            count = changed(execute(connection, statement, delivery))
        if not count:
            raise NotFound(f"nothing came into raw.{table} at {loaded_at}", code="unknown_delivery")
        execute(connection, "delete from ops.loads where table_name = %(table)s and loaded_at = %(at)s", delivery)
    return count
