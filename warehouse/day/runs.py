"""The record of a run in ops.runs: when it began, what came of it, and the watermark that moved with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from recommender.errors import Conflict, DependencyDown, RecommenderError

from warehouse.day.quality import QualityStop
from warehouse.engine.locks import Lease, end_lease, take_lease
from warehouse.engine.statements import execute

if TYPE_CHECKING:
    from warehouse.engine.statements import Connection

PIPELINE = "daily"
BEGINNING = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run that has begun: its lease and its days. `lease.token` is its key in ops.runs."""

    lease: Lease
    first: date
    last: date


@contextmanager
def attempt(connection: Connection, first: date, last: date, *, holder: str = "") -> Iterator[Attempt]:
    """Hold the lease and keep the record: `running`, and where the work raises, `stopped` or `failed`.

    The work itself ends with `finish` in its own transaction. Raises Conflict where another run is at work.
    """
    days = f"{first}" if first == last else f"{first} to {last}"
    lease = take_lease(connection, PIPELINE, purpose=f"the run of {days}", holder=holder)
    begun = Attempt(lease, first, last)
    _begin(connection, begun)
    try:
        yield begun
    except BaseException as error:
        with contextlib.suppress(DependencyDown, Conflict):  # gone, or taken over: the next run writes `lost`
            _fail(connection, begun, error)
        raise


def read_watermark(connection: Connection) -> datetime:
    """Everything loaded before this moment has been processed."""
    query = "select processed_until from ops.watermarks where pipeline = %(pipeline)s"
    rows = execute(connection, query, {"pipeline": PIPELINE})
    return rows[0][0] if rows else BEGINNING


def finish(connection: Connection, begun: Attempt, window: Mapping[str, datetime], counts: Mapping[str, int]) -> None:
    """Inside the transaction of the work: write the record, move the watermark, give the lease back."""
    execute(
        connection,
        """
        update ops.runs
        set
            status = 'done',
            finished_at = %(now)s::timestamp_ntz,
            loaded_from = %(loaded_from)s::timestamp_ntz,
            loaded_until = %(loaded_until)s::timestamp_ntz,
            count_changed = %(changed)s,
            count_erased = %(erased)s,
            count_too_late = %(too_late)s
        where run_id = %(run_id)s
        """,
        {**window, **counts, "now": _now(), "run_id": begun.lease.token},
    )
    _move_watermark(connection, window["as_of"])
    end_lease(connection, begun.lease)


def _begin(connection: Connection, begun: Attempt) -> None:
    # Whoever is still `running` has lost the lease: it died, and its transaction with it.
    execute(
        connection,
        "update ops.runs set status = 'lost', finished_at = %(now)s::timestamp_ntz"
        " where pipeline = %(pipeline)s and status = 'running'",
        {"pipeline": PIPELINE, "now": _now()},
    )
    execute(
        connection,
        "insert into ops.runs (run_id, pipeline, first_day, last_day, status, started_at)"
        " select %(run_id)s, %(pipeline)s, %(first)s::date, %(last)s::date, 'running', %(now)s::timestamp_ntz",
        {
            "run_id": begun.lease.token,
            "pipeline": PIPELINE,
            "first": begun.first,
            "last": begun.last,
            "now": _now(),
        },
    )


def _fail(connection: Connection, begun: Attempt, error: BaseException) -> None:
    # The engine's own messages may quote a row, and with it a shopper: only ours are kept.
    text = error.detail if isinstance(error, RecommenderError) else type(error).__name__
    execute(
        connection,
        "update ops.runs set status = %(status)s, finished_at = %(now)s::timestamp_ntz, message = %(message)s"
        " where run_id = %(run_id)s and status = 'running'",
        {
            "status": "stopped" if isinstance(error, QualityStop) else "failed",
            "message": text[:4096],
            "now": _now(),
            "run_id": begun.lease.token,
        },
    )
    end_lease(connection, begun.lease)


def _now() -> datetime:
    """Of this process: the embedded engine's clock stands still inside a transaction."""
    return datetime.now(UTC).replace(tzinfo=None)


def _move_watermark(connection: Connection, processed_until: datetime) -> None:
    execute(
        connection,
        """
        merge into ops.watermarks as target
        using (select %(pipeline)s as pipeline, %(until)s::timestamp_ntz as processed_until) as source
            on target.pipeline = source.pipeline
        when matched then update set processed_until = source.processed_until
        when not matched then insert (pipeline, processed_until) values (source.pipeline, source.processed_until)
        """,
        {"pipeline": PIPELINE, "until": processed_until},
    )


def read_runs(connection: Connection, *, limit: int = 20) -> list[tuple[Any, ...]]:
    """The newest attempts: first and last day, status, started, finished, message."""
    query = (
        "select first_day, last_day, status, started_at, finished_at, message from ops.runs"
        " order by started_at desc, run_id limit %(limit)s"
    )
    return execute(connection, query, {"limit": limit})
