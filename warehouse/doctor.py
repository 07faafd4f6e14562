"""What is wrong with a day, in words: each failed check, what it means, rows that show it, and what to do.

Reads the verdicts that the run recorded, and looks for examples in the tables as they are now. A day that was
stopped is undone, so what staging and marts would show of it is gone; what was delivered is still in raw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from recommender.errors import NotFound

from warehouse.checks import CHECKS
from warehouse.statements import execute

if TYPE_CHECKING:
    from warehouse.checks.check import Check
    from warehouse.engine import Connection

EXIT_CODES: Final = {"ok": 0, "warn": 1, "stop": 2}
MOST_EXAMPLES: Final = 5
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
    """What a check measured on a day."""

    day: str
    value: float | None
    allowed: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`state` is ok, warn or stop. `trends` by check, `volumes` by table as (day, rows loaded), both oldest first."""

    day: str
    state: str
    run: str
    processed_until: str
    count_checks: int
    findings: tuple[Finding, ...]
    trends: Mapping[str, tuple[Point, ...]]
    volumes: Mapping[str, tuple[tuple[str, int], ...]]

    @property
    def exit_code(self) -> int:
        """0 ok, 1 warn, 2 stop."""
        return EXIT_CODES[self.state]

    def to_body(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """As a person reads it in a terminal."""
        lines = [f"{self.day}: {self.state}; {len(self.findings)} of {self.count_checks} checks failed", self.run]
        for finding in self.findings:
            lines += ["", f"[{finding.severity}] {finding.verdict}", f"  means    {finding.meaning}"]
            lines += [f"  example  {_line(row)}" for row in finding.examples]
            lines.append(f"  do       {finding.remedy}")
        return "\n".join(lines)


def diagnose(connection: Connection, day: date | None = None) -> Diagnosis:
    """The state of a day, by default of the newest that was checked. Raises NotFound where none was."""
    checked_on = _checked_on(connection, day)
    results = execute(
        connection,
        "select name, count_checked, count_failed, value, passed from quality.results where run_on = %(day)s::date",
        {"day": checked_on},
    )
    wrong = {name: found for name, *found, passed in results if not passed}
    failed = [check for check in CHECKS if check.name in wrong]
    run, status, window = _run_of(connection, checked_on)
    findings = tuple(_finding(connection, check, wrong[check.name], window) for check in failed)
    severities = {finding.severity for finding in findings}
    stopped = "stop" in severities or status in ("stopped", "failed", "lost")
    return Diagnosis(
        day=str(checked_on),
        state="stop" if stopped else "warn" if severities else "ok",
        run=run,
        processed_until=_processed_until(connection),
        count_checks=len(results),
        findings=findings,
        trends=_trends(connection, checked_on),
        volumes=_volumes(connection, checked_on),
    )


def _checked_on(connection: Connection, day: date | None) -> date:
    query = "select max(run_on) from quality.results"
    if day is not None:
        query += " where run_on = %(day)s::date"
    found: date | None = execute(connection, query, {"day": day})[0][0]
    if found is None:
        raise NotFound(f"no checks of {day or 'any day'} are recorded; run the day first", code="day_not_checked")
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
    return Finding(check.name, check.severity, check.says(*found), check.meaning, check.remedy, examples)


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


def _volumes(connection: Connection, day: date) -> dict[str, tuple[tuple[str, int], ...]]:
    query = f"""
        select table_name, to_date(loaded_at) as loaded_on, sum(count_rows) from ops.loads
        where loaded_at > dateadd(day, -{DAYS_SHOWN}, %(day)s::date) and loaded_at < dateadd(day, 1, %(day)s::date)
        group by table_name, to_date(loaded_at)
        order by table_name, loaded_on
    """  # noqa: S608
    volumes: dict[str, tuple[tuple[str, int], ...]] = {}
    for table, loaded_on, rows in execute(connection, query, {"day": day}):
        volumes[table] = (*volumes.get(table, ()), (str(loaded_on), int(rows)))
    return volumes


def _line(row: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value or '(none)'}" for name, value in row.items())
