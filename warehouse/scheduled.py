"""What the schedule needs besides `daily`: a way out of any session, erasures that were asked for in files, alerts.

Everything here takes open connections and plain values and knows nothing of Airflow, so it runs by hand as well.
"""

from __future__ import annotations

import logging
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.backfill import backfill
from warehouse.erasures import erase_now
from warehouse.loading import append
from warehouse.ways_out import CursorUnloader

if TYPE_CHECKING:
    from warehouse.engine import Connection

__all__ = ["CursorUnloader", "answer_requests", "report_deadline", "report_failure", "run_backfill", "take_requests"]

logger = logging.getLogger(__name__)


def run_backfill(connection: Connection, first: str, last: str, *, holder: str) -> list[str]:
    """Run the days from `first` to `last` (YYYY-MM-DD, both included); the warnings of the checks."""
    runs = backfill(connection, date.fromisoformat(first), date.fromisoformat(last), holder=holder)
    return [warning for run in runs for warning in run.warnings]


def take_requests(connection: Connection, folder: Path, *, now: datetime) -> int:
    """Write the requests of the files in `folder` (*.txt, one id a line) into raw.erasures, each file once."""
    import polars as pl

    count = 0
    for path in sorted(folder.glob("*.txt")):
        ids = sorted({line.strip() for line in path.read_text().splitlines() if line.strip()})
        frame = pl.DataFrame({"shopper_id": ids}, schema={"shopper_id": pl.String}).with_columns(
            pl.lit(now).cast(pl.Datetime("us")).alias("requested_at")
        )
        count += append(connection, "erasures", frame, load_id=f"erasures/{path.name}", loaded_at=now)
    return count


def answer_requests(connection: Connection, folder: Path, *, now: datetime, holder: str) -> int:
    """Take the landed requests and delete whom they name; rows deleted, never an id."""
    take_requests(connection, folder, now=now)
    return sum(erase_now(connection, now=now, holder=holder).values())


def report_failure(context: Any) -> None:
    """One line of the log that says which task of which run failed; alarms are made from it."""
    task = context["task_instance"]
    logger.error("failed: dag %s, task %s, run %s", task.dag_id, task.task_id, task.run_id)


async def report_deadline(**context: Any) -> None:
    """One line of the log where a run is not done in time."""
    logger.error("deadline missed: %s", sorted(context))
