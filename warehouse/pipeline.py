"""One day of the warehouse: staging, marts, checks. Idempotent, and the same code for bulk, daily runs and backfill.

A run of day D takes what was loaded from the watermark, or from the start of D where that is earlier, to
the end of D. The watermark then stands at the start of D, so the next run looks at day D once more: a load
that came later on D is included, and because every step is a MERGE by business key, looking twice changes
nothing. Rows are chosen by load time, so events that happened long ago and arrive late are included too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from warehouse.quality import check_day
from warehouse.statements import execute, run_file

if TYPE_CHECKING:
    from warehouse.engine import Connection

PIPELINE = "daily"
BEGINNING = datetime(1970, 1, 1)
STEPS = (
    "staging/stg_items.sql",
    "staging/stg_shoppers.sql",
    "staging/stg_purchases.sql",
    "staging/stg_events.sql",
    "marts/items.sql",
    "marts/order_lines.sql",
    "marts/shoppers.sql",
    "marts/session_events.sql",
    "marts/carts.sql",
    "marts/impressions.sql",
)


@dataclass(frozen=True, slots=True)
class DayRun:
    """What a run did: rows written by each step, and the checks that warned."""

    day: date
    loaded_from: datetime
    loaded_until: datetime
    changed: dict[str, int]
    warnings: tuple[str, ...]


def run_day(connection: Connection, day: date, *, on_step: Callable[[str], None] = lambda step: None) -> DayRun:
    """Run every step for `day`, check the result, move the watermark. Raises QualityStop where a check says stop."""
    start, watermark = datetime.combine(day, time()), read_watermark(connection)
    window = {
        "loaded_from": min(start, watermark),
        "loaded_until": start + timedelta(days=1),
        "as_of": max(start, watermark),
    }
    changed = {}
    for step in STEPS:
        on_step(step)
        changed[step] = run_file(connection, step, window)
    warnings = check_day(connection, day, window)
    _move_watermark(connection, max(start, watermark))
    return DayRun(day, window["loaded_from"], window["loaded_until"], changed, warnings)


def read_watermark(connection: Connection) -> datetime:
    """Everything loaded before this moment has been processed."""
    query = "select processed_until from ops.watermarks where pipeline = %(pipeline)s"
    rows = execute(connection, query, {"pipeline": PIPELINE})
    return rows[0][0] if rows else BEGINNING


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
