"""One day of the warehouse, or a range of days at once: erasures, staging, marts, checks, in one transaction.

A run of day D takes what was loaded from the watermark, or from the start of D where that is earlier, to
the end of D. The watermark then stands at the start of D, so the next run looks at day D once more: a load
that came later on D is included, and because every step is a MERGE by business key, looking twice changes
nothing. Rows are chosen by load time, so events that happened long ago and arrive late are included too.

Readers see a day whole or not at all. A step, a check or a connection that fails undoes the run: staging,
marts and watermark stay as they were, and only ops.runs and quality.results record the attempt.

The steps of a day, in order: each a file whose first comment states grain and key, and which may be run again.

What the checks of a stopped day found, carried over the rollback of that day.

The results are written inside the run's transaction, where the checks see the day's tables. A stop undoes the
tables; the verdict must stay, because it is what somebody reads next.

Decisions: docs/decisions/warehouse.md (150, 155).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from warehouse.day.erasures import erase_requested
from warehouse.day.quality import QualityStop, check_day
from warehouse.day.runs import BEGINNING, attempt, finish, read_watermark
from warehouse.engine.statements import execute, run_file, transaction

if TYPE_CHECKING:
    from warehouse.engine.statements import Connection


STEPS = (
    "staging/touched.sql",
    "staging/stg_items.sql",
    "staging/stg_shoppers.sql",
    "staging/stg_purchases.sql",
    "staging/stg_reviews.sql",
    "staging/stg_events.sql",
    "staging/visit_events.sql",
    "marts/item_history.sql",
    "marts/order_lines.sql",
    "marts/shopper_profiles.sql",
    "marts/session_events.sql",
    "marts/sessions.sql",
    "marts/browse_sequences.sql",
    "marts/searches.sql",
    "marts/carts.sql",
    "marts/impressions.sql",
    "marts/reviews.sql",
    "marts/item_popularity_daily.sql",
)
REPORTED = (*STEPS, "checks", "commit")  # the steps that a run reports


OF_DAY = "run_on = %(day)s::date"


@dataclass(slots=True)
class Verdicts:
    """Rows of quality.results with the names of their columns; empty until a day is stopped."""

    columns: list[str] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)


def read_verdicts(connection: Connection, day: date, verdicts: Verdicts) -> None:
    """Take down the day's results before they are undone."""
    verdicts.columns = [name.lower() for name, *_ in execute(connection, "describe table quality.results")]
    names = ", ".join(verdicts.columns)
    verdicts.rows = execute(connection, f"select {names} from quality.results where {OF_DAY}", {"day": day})  # noqa: S608


def keep_verdicts(connection: Connection, day: date, verdicts: Verdicts) -> None:
    """Write them again, in place of the results of an earlier attempt."""
    names = ", ".join(verdicts.columns)
    rows = ", ".join(
        f"({', '.join(f'%({name}_{number})s' for name in verdicts.columns)})" for number in range(len(verdicts.rows))
    )
    values = {
        f"{name}_{number}": value
        for number, row in enumerate(verdicts.rows)
        for name, value in zip(verdicts.columns, row, strict=True)
    }
    with transaction(connection):
        execute(connection, f"delete from quality.results where {OF_DAY}", {"day": day})  # noqa: S608
        if rows:
            execute(connection, f"insert into quality.results ({names}) values {rows}", values)  # noqa: S608


TOUCHED: Final = "staging/touched.sql"
REACH: Final = timedelta(days=31)

__all__ = ["BEGINNING", "REPORTED", "STEPS", "DayRun", "read_watermark", "run_day", "run_range"]


@dataclass(frozen=True, slots=True)
class DayRun:
    """The result of a run: rows written by each step, the checks that warned, rows erased by table.

    `too_late` counts events that were older than 30 days when they were loaded; they are in the marts all the same.
    """

    day: date
    loaded_from: datetime
    loaded_until: datetime
    changed: dict[str, int]
    warnings: tuple[str, ...]
    erased: Mapping[str, int] = field(default_factory=dict)
    too_late: int = 0


def run_day(
    connection: Connection, day: date, *, holder: str = "", on_step: Callable[[str], None] = lambda step: None
) -> DayRun:
    """Run every step for `day`, check the result, move the watermark: all of it or nothing.

    Raises QualityStop where a check stops the day, Conflict where another run is at work, DependencyDown where the
    warehouse goes away. A `holder` that is given again, by a retry, takes over what its dead attempt held.
    """
    return run_range(connection, day, day, holder=holder, on_step=on_step)


def run_range(
    connection: Connection,
    first: date,
    last: date,
    *,
    holder: str = "",
    on_step: Callable[[str], None] = lambda step: None,
) -> DayRun:
    """Run the days from `first` to `last` in one run, with the result of running them one after the other."""
    verdicts = Verdicts()
    try:
        with attempt(connection, first, last, holder=holder) as begun:
            window = _window(connection, first, last)
            with transaction(connection):
                run = _work(connection, last, window, verdicts, on_step)
                on_step("commit")
                counts = {"changed": sum(run.changed.values()), "erased": sum(run.erased.values())}
                finish(connection, begun, window, {**counts, "too_late": run.too_late})
    except QualityStop:
        keep_verdicts(connection, last, verdicts)
        raise
    return run


def _window(connection: Connection, first: date, last: date) -> dict[str, datetime]:
    """The load times that a run takes, and the moment as of which it judges what is over."""
    watermark = read_watermark(connection)
    return {
        "loaded_from": min(datetime.combine(first, time()), watermark),
        "loaded_until": datetime.combine(last, time()) + timedelta(days=1),
        "as_of": max(datetime.combine(last, time()), watermark),
    }


def _work(
    connection: Connection,
    day: date,
    window: dict[str, datetime],
    verdicts: Verdicts,
    on_step: Callable[[str], None],
) -> DayRun:
    erased = erase_requested(connection, window)
    changed = {}
    bounds = {"events_from": _events_from(connection, window)}
    for step in STEPS:
        on_step(step)
        changed[step] = run_file(connection, step, {**window, **bounds})
        if step == TOUCHED:
            bounds["sessions_from"] = _sessions_from(connection, window)
    on_step("checks")
    try:
        warnings = check_day(connection, day, window)
    except QualityStop:
        read_verdicts(connection, day, verdicts)
        raise
    too_late = _count_too_late(connection, window)
    return DayRun(day, window["loaded_from"], window["loaded_until"], changed, warnings, erased, too_late)


def _events_from(connection: Connection, window: Mapping[str, datetime]) -> datetime:
    """Where rows of the loaded events can stand at the earliest: a bound by which an engine skips what is older.

    A double of an event has its time, and what comes of a list comes within 30 days; a month more is for both.
    """
    query = """
        select min(event_time)
        from raw.events
        where loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz
    """
    ((first,),) = execute(connection, query, window)
    return max(first or window["loaded_from"], datetime.min + REACH) - REACH


def _sessions_from(connection: Connection, window: Mapping[str, datetime]) -> datetime:
    """The start of the first touched session."""
    ((first,),) = execute(connection, "select min(first_at) from ops.touched_visitors")
    return first or window["loaded_from"]


def _count_too_late(connection: Connection, window: dict[str, datetime]) -> int:
    query = """
        select count(*)
        from raw.events
        where
            loaded_at >= %(loaded_from)s::timestamp_ntz
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and event_time < dateadd(day, -30, loaded_at)
    """
    return int(execute(connection, query, window)[0][0])
