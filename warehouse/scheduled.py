"""What the schedule needs besides `daily`: a range of days by text, erasures asked for in files, the quality page.

Everything here takes open connections and plain values and knows nothing of Airflow, so it runs by hand as well.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from recommender.errors import DependencyDown, NotFound

from warehouse.backfill import backfill
from warehouse.doctor import diagnose
from warehouse.doctor_page import write_report
from warehouse.erasures import erase_now, request_erasure

if TYPE_CHECKING:
    from warehouse.doctor import Diagnosis
    from warehouse.engine import Connection

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
    not come as far as its checks there is nothing to write; the task that failed says why.
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
