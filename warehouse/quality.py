"""Checks of one day. Each says how many rows it looked at and how many failed; its share decides, its severity acts.

`stop` raises QualityStop before the watermark moves, so a rerun takes the same window again; `warn` is
recorded and returned. Results are kept in quality.results, one row a check and day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, Literal

from recommender.errors import RecommenderError

from warehouse.statements import execute

if TYPE_CHECKING:
    from warehouse.engine import Connection


class QualityStop(RecommenderError):
    """The day's data are not fit to be used."""

    title = "Data quality"
    default_code = "data_quality"


@dataclass(frozen=True, slots=True)
class Check:
    """`query` gives count_checked and count_failed; passes where failed / checked <= `tolerance`."""

    name: str
    severity: Literal["warn", "stop"]
    query: str
    tolerance: float = 0.0


WINDOW: Final = "loaded_at >= %(loaded_from)s::timestamp_ntz and loaded_at < %(loaded_until)s::timestamp_ntz"


_COUNTS: Final = "count(*) as count_checked, coalesce(sum(iff({}, 1, 0)), 0) as count_failed"


def _share(source: str, failing: str, where: str = WINDOW) -> str:
    return f"select {_COUNTS.format(failing)} from {source} where {where}"  # noqa: S608


def _duplicates(table: str, key: str) -> str:
    return f"select count(*) as count_checked, count(*) - count(distinct {key}) as count_failed from {table}"  # noqa: S608


CHECKS: Final = (
    Check(
        "event_keys",
        "stop",
        _share("raw.events", "event_id is null or event_time is null or session_id is null or visitor_id is null"),
        tolerance=0.01,
    ),
    Check(
        "purchase_keys",
        "stop",
        _share("raw.purchases", "order_id is null or item_id is null or shopper_id is null or purchased_at is null"),
        tolerance=0.01,
    ),
    Check("purchase_values", "warn", _share("raw.purchases", "quantity <= 0 or price_cents < 0"), tolerance=0.01),
    Check("events_unique", "stop", _duplicates("staging.stg_events", "event_id")),
    Check("order_lines_unique", "stop", _duplicates("marts.order_lines", "order_id || '/' || item_id")),
    Check("items_unique", "stop", _duplicates("marts.items", "item_id")),
    Check(
        "order_items_known",
        "stop",
        """
        select count(*) as count_checked, coalesce(sum(iff(items.item_id is null, 1, 0)), 0) as count_failed
        from marts.order_lines as lines left join marts.items as items on lines.item_id = items.item_id
        """,
        tolerance=0.05,
    ),
    Check(
        "event_items_known",
        "warn",
        """
        select count(*) as count_checked, coalesce(sum(iff(items.item_id is null, 1, 0)), 0) as count_failed
        from marts.session_events as events left join marts.items as items on events.item_id = items.item_id
        where events.item_id is not null
            and events.loaded_at >= %(loaded_from)s::timestamp_ntz
            and events.loaded_at < %(loaded_until)s::timestamp_ntz
        """,
        tolerance=0.01,
    ),
    Check(
        "event_before_load",
        "warn",
        _share("staging.stg_events", "event_time > dateadd(minute, 5, loaded_at)"),
        tolerance=0.001,
    ),
    Check("item_prices", "warn", _share("marts.items", "price_cents <= 0 or price_cents > 10000000", "true"), 0.01),
    Check("item_margins", "stop", _share("marts.items", "margin_share < -1 or margin_share > 1", "true"), 0.01),
    Check("item_texts", "warn", _share("marts.items", "title = '' or category = ''", "true"), 0.01),
    Check(
        "catalogue_volume",
        "stop",
        "select 1 as count_checked, iff(count(*) = 0, 1, 0) as count_failed from marts.items",
    ),
    Check(
        "order_volume",
        "warn",
        """
        with days as (
            select to_date(loaded_at) as loaded_on, count(*) as count_lines
            from raw.purchases
            where loaded_at >= dateadd(day, -28, %(loaded_until)s::timestamp_ntz)
            group by to_date(loaded_at)
        )
        select count(*) as count_checked, iff(
            count(*) > 7
            and coalesce(max(iff(loaded_on = to_date(%(as_of)s::timestamp_ntz), count_lines, 0)), 0)
            < 0.2 * median(count_lines), count(*), 0
        ) as count_failed
        from days
        """,
    ),
    Check(
        "freshness",
        "warn",
        """
        select
            1 as count_checked,
            iff(max(purchased_at) < dateadd(hour, -48, %(as_of)s::timestamp_ntz), 1, 0) as count_failed
        from marts.order_lines
        """,
    ),
)


def check_day(connection: Connection, day: date, window: Mapping[str, datetime]) -> tuple[str, ...]:
    """Run and record all checks; returns the warnings. Raises QualityStop that names every check that says stop."""
    execute(connection, _record_all(), {**window, "day": day})
    query = "select name, count_checked, count_failed from quality.results where run_on = %(day)s and not passed"
    failed = {name: (checked, wrong) for name, checked, wrong in execute(connection, query, {"day": day})}
    texts = [(check.severity, _describe(check, *failed[check.name])) for check in CHECKS if check.name in failed]
    if stops := [text for severity, text in texts if severity == "stop"]:
        raise QualityStop(f"the data of {day} failed: " + "; ".join(stops))
    return tuple(text for _, text in texts)


def _describe(check: Check, checked: int, wrong: int) -> str:
    return f"{check.name}: {wrong} of {checked} failed, at most {check.tolerance:.1%} may"


def _record_all() -> str:
    """One statement for all checks: an engine takes longer to start a statement than to answer most of these."""
    rows = "\nunion all\n".join(
        f"select '{check.name}' as name, '{check.severity}' as severity, {check.tolerance} as tolerance,"  # noqa: S608
        f" counted.count_checked, counted.count_failed from ({check.query}) as counted"
        for check in CHECKS
    )
    return f"""
        merge into quality.results as target
        using (
            select
                %(day)s::date as run_on,
                name,
                severity,
                count_checked,
                count_failed,
                count_failed <= tolerance * count_checked as passed
            from ({rows}) as checks
        ) as source
            on target.run_on = source.run_on and target.name = source.name
        when matched then update set
            severity = source.severity,
            count_checked = source.count_checked,
            count_failed = source.count_failed,
            passed = source.passed
        when not matched then insert (run_on, name, severity, count_checked, count_failed, passed)
        values (source.run_on, source.name, source.severity, source.count_checked, source.count_failed, source.passed)
    """  # noqa: S608
