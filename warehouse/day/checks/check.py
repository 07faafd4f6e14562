"""What a check is, and the few shapes that most of them have.

A check's query looks at the load window of the run, or at a bounded time before it, so that a day's checks cost
the same however long the history is.

Decisions: docs/decisions/warehouse.md (160).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

WINDOW: Final = "loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz"


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure that is no share of rows: what it is, and the limit that its query compares it with."""

    unit: str
    allowed: float
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """`query` gives count_checked and count_failed; passes where failed / checked <= `tolerance`.

    With a `measure` it gives `value` as well. `examples` selects rows that fail, and never a shopper's id.
    """

    name: str
    severity: Literal["warn", "stop"]
    query: str
    meaning: str
    remedy: str
    tolerance: float = 0.0
    examples: str = ""
    measure: Measure | None = None

    @property
    def allowed(self) -> float:
        """The limit as it is recorded: of the measure, else the share that may fail."""
        return self.tolerance if self.measure is None else self.measure.allowed

    @property
    def selected(self) -> str:
        """One row of all that is recorded."""
        value = "counted.value" if self.measure else "div0(counted.count_failed, counted.count_checked)"
        return (
            f"select '{self.name}' as name, '{self.severity}' as severity, {self.tolerance} as tolerance,"  # noqa: S608
            f" {self.allowed}::float as allowed, counted.count_checked, counted.count_failed,"
            f" ({value})::float as value from ({self.query}) as counted"
        )

    def sentence(self, checked: int, failed: int, value: float | None) -> str:
        """The verdict in a sentence that names no row."""
        if self.measure is None:
            return f"{self.name}: {failed} of {checked} failed, at most {self.tolerance:.1%} may"
        found = "nothing" if value is None else f"{value:.4g} {self.measure.unit}"
        bound = "at least" if self.measure.at_least else "at most"
        return f"{self.name}: {found}, {bound} {self.measure.allowed:.4g} expected"


def worst(deliveries: str) -> str:
    """Of deliveries with count_checked and count_failed the one of which the largest share failed.

    A window of many deliveries would hide a bad one among the good; the first load of a shop is one like any other.
    """
    return f"""
        select coalesce(max(count_checked), 0) as count_checked, coalesce(max(count_failed), 0) as count_failed
        from (
            select count_checked, count_failed
            from ({deliveries}) as deliveries
            qualify row_number() over (order by div0(count_failed, count_checked) desc, count_checked desc) = 1
        ) as of_worst
    """  # noqa: S608


def share(
    name: str,
    severity: Literal["warn", "stop"],
    source: str,
    failing: str,
    *,
    meaning: str,
    remedy: str,
    tolerance: float = 0.0,
    show: str = "",
    where: str = WINDOW,
    by_delivery: bool = False,
) -> Check:
    """The share of the loaded rows of a table for which `failing` holds; `show` lists the columns of an example.

    `by_delivery`: of the rows of the worst delivery.
    """
    query = (
        f"select count(*) as count_checked, coalesce(sum(iff({failing}, 1, 0)), 0) as count_failed"  # noqa: S608
        f" from {source} where {where}"
    )
    if by_delivery:
        query = worst(f"{query} group by loaded_at")
    examples = f"select {show} from {source} where {where} and ({failing})" if show else ""  # noqa: S608
    return Check(name, severity, query, meaning, remedy, tolerance, examples)


def repeated(
    name: str,
    severity: Literal["warn", "stop"],
    source: str,
    key: str,
    *,
    meaning: str,
    remedy: str,
    tolerance: float = 0.0,
) -> Check:
    """The share of the loaded rows that repeat the key of another one of them."""
    query = (
        "select coalesce(sum(copies), 0) as count_checked, coalesce(sum(copies - 1), 0) as count_failed"  # noqa: S608
        f" from (select count(*) as copies from {source} where {WINDOW} group by {key}) as keys"
    )
    examples = f"select {key}, count(*) as copies from {source} where {WINDOW} group by {key} having count(*) > 1"  # noqa: S608
    return Check(name, severity, query, meaning, remedy, tolerance, examples)
