"""Diagnosis of a day, in words: each failed check, its meaning, rows that show it, and the remedy.

Reads the verdicts that the run recorded, and looks for examples in the tables as they are now. A day that was
stopped is undone, so what staging and marts would show of it is gone; what was delivered is still in raw, and the
deliveries that wait there are named, because the one that is wrong has to be withdrawn.

Decisions: docs/decisions/warehouse.md (162).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from recommender.errors import NotFound

from warehouse.day.checks import CHECKS
from warehouse.day.checks.check import WINDOW
from warehouse.engine.statements import execute
from warehouse.raw.landed_events import TAKEN
from warehouse.tables import RAW

if TYPE_CHECKING:
    from warehouse.day.checks.check import Check
    from warehouse.engine.statements import Connection

EXIT_CODES: Final = {"ok": 0, "warn": 1, "stop": 2}
MOST_EXAMPLES: Final = 5
MOST_DELIVERIES: Final = 10
DAYS_SHOWN: Final = 28


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that failed. `examples` are rows as text, by column."""

    name: str
    severity: str
    verdict: str
    meaning: str
    remedy: str
    examples: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """The measurement of a check on a day."""

    day: str
    value: float | None
    allowed: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`state` is ok, warn or stop. `trends` by check, `volumes` by table as (day, rows loaded), both oldest first.

    `not_judged` are checks that found no rows, or too few days to compare with; `waiting` is what was delivered to a
    stopped day, as (table, moment, rows).
    """

    day: str
    state: str
    run: str
    processed_until: str
    count_checks: int
    not_judged: tuple[str, ...]
    findings: tuple[Finding, ...]
    waiting: tuple[tuple[str, str, int], ...]
    trends: Mapping[str, tuple[Point, ...]]
    volumes: Mapping[str, tuple[tuple[str, int], ...]]

    @property
    def exit_code(self) -> int:
        """0 ok, 1 warn, 2 stop."""
        return EXIT_CODES[self.state]

    def to_body(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @property
    def headline(self) -> str:
        """Count the checks that failed, and those without anything to look at."""
        silent = f", {len(self.not_judged)} had nothing to judge" if self.not_judged else ""
        return f"{len(self.findings)} of {self.count_checks} checks failed{silent}"

    def next_step(self, database: str = "DIR") -> str:
        """Return the command for when the data are right; empty where nothing is wrong."""
        if self.state == "ok":
            return ""
        return f"recommender warehouse backfill --database {database} --from {self.day} --to {self.day}"

    def to_text(self, database: str = "DIR") -> str:
        """As a person reads it in a terminal; `database` is the folder that the commands name."""
        lines = [f"{self.day}: {self.state}; {self.headline}", self.run]
        for finding in self.findings:
            lines += ["", f"[{finding.severity}] {finding.verdict}", f"  means    {finding.meaning}"]
            lines += [f"  example  {_line(row)}" for row in finding.examples]
            lines.append(f"  do       {finding.remedy}")
        if self.waiting:
            lines += ["", "Not taken yet; withdraw the delivery that is wrong, then load its rows corrected:"]
            command = f"  recommender warehouse withdraw --database {database}"
            lines += [
                f"{command} --table {table} --loaded-at {moment}   # {rows} rows"
                for table, moment, rows in self.waiting
            ]
        if self.not_judged:
            lines += [
                "",
                f"Nothing to judge, for want of rows or of weeks to compare with: {', '.join(self.not_judged)}",
            ]
        if self.state != "ok":
            lines += ["", f"Then run the day again: {self.next_step(database)}"]
        return "\n".join(lines)


def diagnose(connection: Connection, day: date | None = None) -> Diagnosis:
    """The state of a day, by default of the newest that was run. Raises NotFound where none was."""
    run_on = _run_on(connection, day)
    results = execute(
        connection,
        "select name, count_checked, count_failed, value, passed from quality.results where run_on = %(day)s::date",
        {"day": run_on},
    )
    wrong = {name: found for name, *found, passed in results if not passed}
    failed = [check for check in CHECKS if check.name in wrong]
    run, status, window = _run_of(connection, run_on)
    findings = tuple(_finding(connection, check, wrong[check.name], window) for check in failed)
    severities = {finding.severity for finding in findings}
    stopped = "stop" in severities or status in ("stopped", "failed", "lost")
    return Diagnosis(
        day=str(run_on),
        state="stop" if stopped else "warn" if severities else "ok",
        run=run,
        processed_until=_processed_until(connection),
        count_checks=len(results),
        not_judged=tuple(sorted(name for name, checked, *_ in results if not checked)),
        findings=findings,
        waiting=_waiting(connection, window) if status == "stopped" else (),
        trends=_trends(connection, run_on),
        volumes=_volumes(connection, run_on),
    )


def _run_on(connection: Connection, day: date | None) -> date:
    """The day, or the newest: one that was checked, or whose run failed before its checks."""
    query = """
        select min(run_on), max(run_on), max(iff(run_on = %(day)s::date, run_on, null))
        from (select run_on from quality.results union all select last_day as run_on from ops.runs) as days
    """
    first, last, same = execute(connection, query, {"day": day})[0]
    found: date | None = last if day is None else same
    if found is None:
        known = f"there are days from {first} to {last}" if first else "no day was ever run"
        wanted = day or "DAY"
        raise NotFound(
            f"nothing is recorded of {day or 'any day'}; {known}. Run it: recommender warehouse backfill --database DIR"
            f" --from {wanted} --to {wanted}",
            code="day_not_checked",
        )
    return found


def _run_of(connection: Connection, day: date) -> tuple[str, str, dict[str, Any]]:
    """The newest run that ended with `day`: a sentence, its status, and its load window."""
    start = datetime.combine(day, time())
    window = {
        "loaded_from": start - timedelta(days=1),
        "loaded_until": start + timedelta(days=1),
        "as_of": start,
        "day": day,
    }
    query = """
        select status, started_at, loaded_from, message from ops.runs
        where last_day = %(day)s::date order by started_at desc limit 1
    """
    rows = execute(connection, query, {"day": day})
    if not rows:
        return "no run is recorded", "", window
    status, started_at, loaded_from, message = rows[0]
    sentence = f"the run of {started_at:%Y-%m-%d %H:%M} UTC: {status}"
    return (
        sentence + (f" ({message})" if message else ""),
        status,
        {**window, "loaded_from": loaded_from or window["loaded_from"]},
    )


def _processed_until(connection: Connection) -> str:
    rows = execute(connection, "select max(processed_until) from ops.watermarks")
    return str(rows[0][0] or "")


def _finding(connection: Connection, check: Check, found: list[Any], window: Mapping[str, Any]) -> Finding:
    examples = _examples(connection, check, window) if check.examples else ()
    return Finding(check.name, check.severity, check.sentence(*found), check.meaning, check.remedy, examples)


def _examples(connection: Connection, check: Check, window: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    cursor: Any = connection.cursor()
    cursor.execute(f"select * from ({check.examples}) as examples limit {MOST_EXAMPLES}", window)  # noqa: S608
    names = [name.lower() for name, *_ in cursor.description]
    return tuple(
        {name: "" if value is None else str(value) for name, value in zip(names, row, strict=True)}
        for row in cursor.fetchall()
    )


def _trends(connection: Connection, day: date) -> dict[str, tuple[Point, ...]]:
    query = f"""
        select name, run_on, value, allowed, passed from quality.results
        where run_on > dateadd(day, -{DAYS_SHOWN}, %(day)s::date) and run_on <= %(day)s::date
        order by name, run_on
    """  # noqa: S608
    trends: dict[str, tuple[Point, ...]] = {}
    for name, run_on, value, allowed, passed in execute(connection, query, {"day": day}):
        trends[name] = (*trends.get(name, ()), Point(str(run_on), value, allowed, bool(passed)))
    return trends


def _waiting(connection: Connection, window: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """List the newest deliveries of the window that no run has taken; the examples show which one is wrong."""
    query = f"""
        select delivered.table_name, delivered.came_at, delivered.count_rows
        from ({_counted("loaded_at", WINDOW)}) as delivered
        left join ops.runs as runs on {TAKEN.format(moment="delivered.came_at")}
        where runs.run_id is null
        order by delivered.came_at desc, delivered.table_name limit {MOST_DELIVERIES}
    """  # noqa: S608
    rows = execute(connection, query, window)
    return tuple((table, loaded_at.isoformat(), int(count)) for table, loaded_at, count in rows)


def _volumes(connection: Connection, day: date) -> dict[str, tuple[tuple[str, int], ...]]:
    """Rows of raw by the day of their load."""
    recent = (
        f"loaded_at >= dateadd(day, 1 - {DAYS_SHOWN}, %(day)s::date) and loaded_at < dateadd(day, 1, %(day)s::date)"
    )
    volumes: dict[str, tuple[tuple[str, int], ...]] = {}
    query = f"{_counted('to_date(loaded_at)', recent)} order by 1, 2"
    for table, loaded_on, rows in execute(connection, query, {"day": day}):
        volumes[table] = (*volumes.get(table, ()), (str(loaded_on), int(rows)))
    return volumes


def _counted(moment: str, where: str) -> str:
    """Rows of every raw table by moment: what came by a stage or a pipe has no line in ops.loads."""
    return "\nunion all\n".join(
        f"select '{table}' as table_name, {moment} as came_at, count(*) as count_rows"  # noqa: S608
        f" from raw.{table} where {where} group by {moment}"
        for table in RAW
    )


def _line(row: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value or '(none)'}" for name, value in row.items())
