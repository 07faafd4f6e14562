"""Whether the day's delivery came: in the usual amount, and new.

Rows are counted in raw by load time, not in ops.loads: what a stage or a pipe brings has no line there. A day is held
against the same weekday of the four weeks before, a weekday without a delivery counting as none; where fewer than
three of them are known, or the usual day is small, nothing is judged.

Decisions: docs/decisions/warehouse.md (158, 161, 185).
"""

from __future__ import annotations

from typing import Final

from warehouse.day.checks.check import Check, Measure

# Of 338 days of a real grocer's order lines the 1st and 99th percentile are 0.69 and 1.43; below 0.4 are Christmas and
# New Year's Day, above 2.5 is none (docs/decisions/warehouse.md (185)).
LEAST_VOLUME: Final = 0.4
MOST_VOLUME: Final = 2.5
LEAST_USUAL: Final = 50  # rows a day; below it chance alone passes the limits
LEAST_WEEKS: Final = 3
OLDEST_HOURS: Final = 48

RATIO: Final = """
    with weeks as (
        select column1 as days_before from values (0), (7), (14), (21), (28)
    ),

    delivered as (
        select datediff(day, to_date(loaded_at), %(day)s::date) as days_before, count(*) as count_rows
        from raw.{table}
        where loaded_at >= dateadd(day, -28, %(day)s::date) and loaded_at < dateadd(day, 1, %(day)s::date)
        group by datediff(day, to_date(loaded_at), %(day)s::date)
    ),

    older as (
        select 28 as days_before from raw.{table} where loaded_at < dateadd(day, -28, %(day)s::date) limit 1
    ),

    known as (
        select max(days_before) as days_before
        from (select days_before from delivered union all select days_before from older) as both_of
    ),

    days as (
        select weeks.days_before, coalesce(delivered.count_rows, 0) as count_rows
        from weeks
        inner join known on weeks.days_before <= known.days_before
        left join delivered on weeks.days_before = delivered.days_before
    ),

    compared as (
        select
            max(iff(days_before = 0, count_rows, null)) as of_day,
            median(iff(days_before > 0, count_rows, null)) as of_usual_day,
            sum(iff(days_before > 0, 1, 0)) as count_weeks
        from days
    ),

    judged as (
        select
            iff(
                count_weeks >= {least_weeks} and of_usual_day >= {least_usual}, of_day / nullif(of_usual_day, 0), null
            ) as ratio
        from compared
    )

    select iff(ratio is null, 0, 1) as count_checked, iff({fails}, 1, 0) as count_failed, ratio as value
    from judged
"""

BY_DAY: Final = """
    select to_date(loaded_at) as loaded_on, count(*) as count_rows, max({happened_at}) as newest
    from raw.{table}
    where loaded_at >= dateadd(day, -28, %(day)s::date) and loaded_at < dateadd(day, 1, %(day)s::date)
    group by to_date(loaded_at)
    order by loaded_on desc
"""

AGE: Final = """
    with newest as (
        select max({happened_at}) as happened_at
        from raw.{table}
        where
            loaded_at >= dateadd(day, -7, %(loaded_until)s::timestamp_ntz)
            and loaded_at < %(loaded_until)s::timestamp_ntz
            and {happened_at} <= loaded_at
    ),

    ever as (
        select loaded_at from raw.{table} where loaded_at < %(loaded_until)s::timestamp_ntz limit 1
    ),

    aged as (
        select
            count(ever.loaded_at) as count_checked,
            max(greatest(datediff(minute, newest.happened_at, %(day)s::timestamp_ntz) / 60, 0)) as value
        from newest left join ever on true
    )

    select
        count_checked,
        iff(count_checked = 1 and coalesce(value, {oldest} + 1) > {oldest}, 1, 0) as count_failed,
        value
    from aged
"""


def _too_few(table: str, happened_at: str) -> Check:
    return Check(
        f"{table}_volume_low",
        "warn",
        RATIO.format(table=table, least_weeks=LEAST_WEEKS, least_usual=LEAST_USUAL, fails=f"ratio < {LEAST_VOLUME}"),
        f"The day brought far fewer {table} than the same weekday of the four weeks before.",
        "See in the landing whether the delivery is whole. Load what is missing, and run the day again.",
        measure=Measure("times the usual day", LEAST_VOLUME, at_least=True),
        examples=BY_DAY.format(table=table, happened_at=happened_at),
    )


def _too_many(table: str, happened_at: str) -> Check:
    return Check(
        f"{table}_volume_high",
        "warn",
        RATIO.format(table=table, least_weeks=LEAST_WEEKS, least_usual=LEAST_USUAL, fails=f"ratio > {MOST_VOLUME}"),
        f"The day brought far more {table} than the same weekday of the four weeks before.",
        "See in ops.loads whether a file came under two names: events are taken once, orders are replaced. A sale or"
        " a delivery that makes up for an outage needs nothing.",
        measure=Measure("times the usual day", MOST_VOLUME),
        examples=BY_DAY.format(table=table, happened_at=happened_at),
    )


def _too_old(name: str, table: str, happened_at: str) -> Check:
    """Held against the start of the day that is run, so that an old day that is run again is as fresh as it was."""
    return Check(
        name,
        "warn",
        AGE.format(table=table, happened_at=happened_at, oldest=OLDEST_HOURS),
        f"The newest of the {table} that were loaded within a week happened more than {OLDEST_HOURS} hours"
        " before the day, or none were loaded.",
        "The source or its delivery stands still: see when it last wrote a file, start it, and run the day again.",
        measure=Measure("hours old", OLDEST_HOURS),
        examples=BY_DAY.format(table=table, happened_at=happened_at),
    )


CHECKS: Final = (
    _too_few("events", "event_time"),
    _too_many("events", "event_time"),
    _too_few("purchases", "purchased_at"),
    _too_many("purchases", "purchased_at"),
    _too_old("freshness", "purchases", "purchased_at"),
    _too_old("events_freshness", "events", "event_time"),
)
