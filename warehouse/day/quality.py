"""Run the checks of one day. Each counts the rows it looked at and those that failed; its severity acts.

`stop` raises QualityStop before the watermark moves, so a rerun takes the same window again; `warn` is
recorded and returned. Results are kept in quality.results, one row a check and day, with value and limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

from recommender.errors import RecommenderError

from warehouse.day.checks import CHECKS
from warehouse.engine.statements import execute

if TYPE_CHECKING:
    from warehouse.engine.statements import Connection

__all__ = ["CHECKS", "QualityStop", "check_day"]


class QualityStop(RecommenderError):
    """The day's data are not fit to be used."""

    title = "Data quality"
    default_code = "data_quality"


def check_day(connection: Connection, day: date, window: Mapping[str, datetime]) -> tuple[str, ...]:
    """Run and record all checks; return the warnings. Raises QualityStop that names every check that stops the day."""
    execute(connection, _record_all(), {**window, "day": day})
    query = "select name, count_checked, count_failed, value from quality.results where run_on = %(day)s and not passed"
    failed = {name: found for name, *found in execute(connection, query, {"day": day})}
    texts = [(check.severity, check.sentence(*failed[check.name])) for check in CHECKS if check.name in failed]
    if stops := [text for severity, text in texts if severity == "stop"]:
        raise QualityStop(f"the data of {day} failed: " + "; ".join(stops))
    return tuple(text for _, text in texts)


def _record_all() -> str:
    """One statement for all checks: an engine takes longer to start a statement than to answer most of these."""
    rows = "\nunion all\n".join(check.selected for check in CHECKS)
    return f"""
        merge into quality.results as target
        using (
            select
                %(day)s::date as run_on,
                name,
                severity,
                count_checked,
                count_failed,
                count_failed <= tolerance * count_checked as passed,
                value,
                allowed
            from ({rows}) as checks
        ) as source
            on target.run_on = source.run_on and target.name = source.name
        when matched then update set
            severity = source.severity,
            count_checked = source.count_checked,
            count_failed = source.count_failed,
            passed = source.passed,
            value = source.value,
            allowed = source.allowed
        when not matched then insert (
            run_on, name, severity, count_checked, count_failed, passed, value, allowed
        ) values (
            source.run_on, source.name, source.severity, source.count_checked, source.count_failed, source.passed,
            source.value, source.allowed
        )
    """  # noqa: S608
