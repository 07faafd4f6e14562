"""What the checks of a stopped day found, carried over the rollback of that day.

The results are written inside the run's transaction, where the checks see the day's tables. A stop undoes the
tables; the verdict must stay, because it is what somebody reads next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from warehouse.statements import execute, transaction

if TYPE_CHECKING:
    from warehouse.engine import Connection

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
