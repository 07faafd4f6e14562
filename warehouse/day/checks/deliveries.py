"""Gates of deliveries: usable, with values of the contract, each once."""

from __future__ import annotations

from typing import Final, Literal

from recommender.contracts.event_kinds import EVENT_NAMES

from warehouse.day.checks.check import WINDOW, Check, repeated, share, worst
from warehouse.tables import AVAILABILITIES


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _keys(name: str, table: str, failing: str, show: str, severity: Literal["warn", "stop"] = "stop") -> Check:
    return share(
        name,
        severity,
        f"raw.{table}",
        failing,
        tolerance=0.01,
        show=show,
        meaning=f"Rows of {table} lack what identifies them; staging leaves them out.",
        remedy="Ask the source for the whole rows, or correct the mapping of columns, and load them again.",
    )


REJECTS: Final = f"""
    select loaded_at, sum(count_rows) as count_checked, sum(count_refused) as count_failed
    from (
        select loaded_at, 1 as count_rows, 1 as count_refused from raw.rejects where {WINDOW}
        union all
        select loaded_at, 1 as count_rows, 1 as count_refused from ops.rejected_lines where {WINDOW}
        union all
        select loaded_at, count_rows, 0 as count_refused from ops.loads where {WINDOW}
    ) as delivered
    group by loaded_at
"""  # noqa: S608

# Bounded by the times of the window's purchases: a page that is loaded again is loaded within the month.
REPORTS: Final = f"""
    with arrived as (
        select transaction_id, min(event_time) as event_time
        from staging.stg_events
        where event_name = 'purchase' and not derived and transaction_id is not null and {WINDOW}
        group by transaction_id
    ),

    reports as (
        select events.transaction_id as order_id, count(distinct events.event_time) as count_reports
        from staging.stg_events as events
        inner join arrived on events.transaction_id = arrived.transaction_id
        where
            events.event_name = 'purchase'
            and not events.derived
            and events.event_time >= (select dateadd(day, -31, min(event_time)) from arrived)
        group by events.transaction_id
        having count(distinct events.event_time) > 1
    )
"""  # noqa: S608

CHECKS: Final = (
    _keys(
        "event_keys",
        "events",
        "event_id is null or event_time is null or session_id is null or visitor_id is null",
        "event_id, event_name, event_time, loaded_at",
    ),
    _keys(
        "purchase_keys",
        "purchases",
        "order_id is null or item_id is null or shopper_id is null or purchased_at is null",
        "order_id, item_id, purchased_at, loaded_at",
    ),
    _keys(
        "item_keys",
        "items",
        "item_id is null or title is null or category is null or price_cents is null",
        "item_id, title, category, price_cents",
        "warn",
    ),
    _keys(
        "review_keys",
        "reviews",
        "review_id is null or item_id is null or rating is null",
        "review_id, item_id, rating",
        "warn",
    ),
    share(
        "purchase_values",
        "warn",
        "raw.purchases",
        "quantity <= 0 or price_cents < 0",
        tolerance=0.01,
        show="order_id, item_id, quantity, price_cents",
        meaning="Order lines have a quantity of zero or less, or a negative price; staging leaves them out.",
        remedy="Refunds come as refund events, not as negative lines: correct the export of the order system.",
    ),
    share(
        "event_names",
        "warn",
        "raw.events",
        f"event_name not in ({_quoted(EVENT_NAMES)})",
        show="event_id, event_name, event_time",
        meaning="Events have a name that the contract does not know; no mart reads them.",
        remedy="Map the name in the mapping file of the load, or extend contracts/events.py.",
    ),
    share(
        "item_availabilities",
        "warn",
        "raw.items",
        f"coalesce(availability, 'in_stock') not in ({_quoted(AVAILABILITIES)})",
        tolerance=0.001,
        show="item_id, availability",
        meaning="Items have an availability that the contract does not know; serving takes them for not in stock.",
        remedy="Map the value in the mapping file of the load.",
    ),
    share(
        "review_ratings",
        "warn",
        "raw.reviews",
        "rating < 1 or rating > 5",
        tolerance=0.05,
        show="review_id, item_id, rating",
        meaning="Reviews have a rating outside 1 to 5; staging leaves them out.",
        remedy="Map the source's scale to 1 to 5.",
    ),
    share(
        "event_before_load",
        "warn",
        "raw.events",
        "event_time > dateadd(minute, 5, loaded_at)",
        tolerance=0.001,
        show="event_id, event_name, event_time, loaded_at",
        meaning="Events happened after they were loaded: a clock or a time zone is wrong.",
        remedy="Times are UTC; set the zone in the mapping file of the load, or the clock of the collector.",
    ),
    share(
        "late_events",
        "warn",
        "raw.events",
        "event_time < dateadd(hour, -48, loaded_at)",
        tolerance=0.2,
        where=f"{WINDOW} and not coalesce(derived, false)",
        by_delivery=True,
        show="event_id, event_name, event_time, loaded_at",
        meaning="Many events are more than two days older than their load; the marts take them, reports change.",
        remedy="A history that is loaded in bulk is late as a whole and needs nothing; else look for a delivery that"
        " was stuck; models trained in the meantime lack these events.",
    ),
    repeated(
        "event_copies",
        "warn",
        "raw.events",
        "session_id, event_id",
        tolerance=0.05,
        meaning="Events were delivered more than once; staging keeps the first of each.",
        remedy="A few come with at-least-once delivery. Many mean a file loaded under two names: see ops.loads.",
    ),
    Check(
        "orders_reported_again",
        "warn",
        f"""{REPORTS}
        select count(distinct lines.order_id) as count_checked, count(distinct reports.order_id) as count_failed
        from marts.order_lines as lines left join reports on lines.order_id = reports.order_id
        where {WINDOW.replace("loaded_at", "lines.loaded_at")}
        """,  # noqa: S608
        "Orders were reported by more than one purchase event; the first is taken, the others count for nothing.",
        "The page that thanks for an order sends its event whenever it is loaded: send it once an order.",
        0.005,
        f"{REPORTS} select order_id, count_reports from reports",  # noqa: S608
    ),
    Check(
        "rejects",
        "warn",
        worst(REJECTS),
        "Rows of delivered files could not be taken; they are kept in raw.rejects and ops.rejected_lines.",
        "Read the reasons there, put the rows right, and load them again.",
        tolerance=0.01,
        examples=f"select source_file, row_number, reason from raw.rejects where {WINDOW}",  # noqa: S608
    ),
    share(
        "new_columns",
        "warn",
        "ops.new_columns",
        "true",
        show="table_name, column_name, action, reason",
        meaning="A delivery brought columns that nobody has described.",
        remedy="Describe the column in warehouse/tables.py and in the marts that want it, or find out why it came.",
    ),
)
