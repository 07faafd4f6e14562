"""Tasks of the schedule besides the daily run: a range of days by text, erasures requested in files, the quality page.

Everything here takes open connections and plain values and knows nothing of Airflow, so it runs by hand as well.

A range of days again, or for the first time: in pieces that fit one transaction each, oldest first.

Each piece is one run over its range of load times. Because every step merges by business key and looks at
load times only, that equals the daily runs of the range, as `fingerprints` before and after prove.

What the schedule calls, one function a task: load what has landed, run the day, hand the exports on.

Each takes an open warehouse and plain values, so the same functions run under Airflow, in a test and by hand.

Decisions: docs/decisions/warehouse.md (010), docs/decisions/schedule.md (169).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from recommender.contracts.exports import ExportManifest
from recommender.contracts.fields import problem
from recommender.errors import DependencyDown, NotFound

from warehouse.day.day import DayRun, run_range
from warehouse.day.doctor import diagnose
from warehouse.day.doctor_page import write_report
from warehouse.day.erasures import erase_now, request_erasure
from warehouse.export.export_store import remove_old_days, s3_root
from warehouse.export.unload import unload, unload_to
from warehouse.raw.landed_events import load_landing, load_stage

if TYPE_CHECKING:
    from warehouse.connect import Warehouse
    from warehouse.day.doctor import Diagnosis
    from warehouse.engine.statements import Connection


DAYS_AT_ONCE = 31


def backfill(
    connection: Connection,
    first: date,
    last: date,
    *,
    days_at_once: int = DAYS_AT_ONCE,
    holder: str = "",
    on_step: Callable[[str], None] = lambda step: None,
) -> list[DayRun]:
    """Run all days from `first` to `last`; one result a piece. What is done stays where a later piece fails."""
    return [
        run_range(connection, start, end, holder=holder, on_step=on_step)
        for start, end in pieces(first, last, days_at_once)
    ]


def pieces(first: date, last: date, days_at_once: int) -> list[tuple[date, date]]:
    """The range cut into (first, last) of at most `days_at_once` days."""
    if first > last:
        raise problem("/to", str(last), f"not before {first}")
    if days_at_once < 1:
        raise problem("/days_at_once", str(days_at_once), "at least 1")
    count = (last - first).days + 1
    starts = (first + timedelta(days=offset) for offset in range(0, count, days_at_once))
    return [(start, min(start + timedelta(days=days_at_once - 1), last)) for start in starts]


logger = logging.getLogger(__name__)


def run_backfill(connection: Connection, first: str, last: str, *, holder: str) -> list[str]:
    """Run the days from `first` to `last` (YYYY-MM-DD, both included); the warnings of the checks."""
    runs = backfill(connection, date.fromisoformat(first), date.fromisoformat(last), holder=holder)
    return [warning for run in runs for warning in run.warnings]


def take_requests(connection: Connection, source: str, *, now: datetime, s3: Any = None) -> int:
    """Write the requests below `source`, a folder or an s3:// prefix, into raw.erasures; each file once.

    A file is *.txt with one id a line. `s3` is a boto3 client.
    """
    count = 0
    for name, text in _files(source, s3):
        ids = sorted({line.strip() for line in text.splitlines() if line.strip()})
        count += request_erasure(connection, ids, now=now, load_id=f"erasures/{name}")
    return count


def answer_requests(connection: Connection, source: str, *, now: datetime, holder: str, s3: Any = None) -> int:
    """Take the landed requests and delete whom they name; rows deleted, never an id."""
    take_requests(connection, source, now=now, s3=s3)
    return sum(erase_now(connection, now=now, holder=holder).values())


def publish_quality(connection: Connection, target: str, *, day: date, s3: Any = None) -> str:
    """Write the doctor's page of `day` below `target`, a folder or an s3:// prefix; the state it found.

    Examples stay in the warehouse: they may name shoppers, and an erasure does not reach a page. Where the day has
    not come as far as its checks there is nothing to write; the failed task has the cause.
    """
    try:
        found = diagnose(connection, day)
    except NotFound as error:
        logger.warning("no quality page: %s", error)
        return "unchecked"
    found = replace(found, findings=tuple(replace(finding, examples=()) for finding in found.findings))
    logger.info("%s", found.to_text())
    if not target.startswith("s3://"):
        _write(found, Path(target))
        return found.state
    address = urlsplit(target)
    with tempfile.TemporaryDirectory() as folder:
        _write(found, Path(folder))
        for path in sorted(Path(folder).iterdir()):
            kind = {"ContentType": "text/html" if path.suffix == ".html" else "application/json"}
            key = f"{address.path.strip('/')}/{path.name}"
            s3.upload_file(str(path), address.netloc, key, ExtraArgs=kind)
    return found.state


def _write(found: Diagnosis, folder: Path) -> None:
    """The page and its JSON; the JSON alone where nothing draws the page, for which no night shall fail."""
    try:
        write_report(found, folder)
    except DependencyDown as error:
        logger.warning("%s", error)


def _files(source: str, s3: Any) -> Iterator[tuple[str, str]]:
    """Name and text of each *.txt directly below a folder or an s3:// prefix, by name."""
    if not source.startswith("s3://"):
        for path in sorted(Path(source).glob("*.txt")):
            yield path.name, path.read_text()
        return
    address = urlsplit(source.rstrip("/") + "/")
    prefix = address.path.lstrip("/")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=address.netloc, Prefix=prefix, Delimiter="/"):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith(".txt"):
                body = s3.get_object(Bucket=address.netloc, Key=entry["Key"])["Body"].read()
                yield entry["Key"].removeprefix(prefix), body.decode()


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
    writes all anew. Folders of days that are too old are removed; on S3 the bucket's lifecycle does that.
    """
    connection, unloader = warehouse.connection, warehouse.unloader
    if target.startswith("s3://"):
        with s3_root(s3, target) as root:
            return unload_to(connection, unloader, root, source=SOURCE, now=now, full=full)
    manifest = unload(connection, unloader, Path(target), source=SOURCE, now=now, full=full)
    remove_old_days(Path(target))
    return manifest
