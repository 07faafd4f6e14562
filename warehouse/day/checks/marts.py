"""Gates of staging and marts: keys are unique, items are known, prices and margins are possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from warehouse.day.checks.check import WINDOW, Check, Measure, repeated, share

OF_LINES: Final = WINDOW.replace("loaded_at", "made.loaded_at")


def _unique(name: str, table: str, key: str) -> Check:
    return repeated(
        name,
        "stop",
        table,
        key,
        meaning="A step wrote a key twice; what is joined to it counts twice.",
        remedy="The MERGE of the step has lost its one row a key: correct it, then run the days again by `backfill`.",
    )


def _known(name: str, severity: str, mart: str, *, tolerance: float, examples: str = "") -> Check:
    joined = f"""
        from {mart} as made left join staging.stg_items as items on made.item_id = items.item_id
        where made.item_id is not null and {OF_LINES}
    """
    return Check(
        name,
        "stop" if severity == "stop" else "warn",
        "select count(*) as count_checked, coalesce(sum(iff(items.item_id is null, 1, 0)), 0) as count_failed" + joined,
        f"Rows of {mart} name items that no catalogue has; the exports leave them out.",
        "Load the catalogue that has them: it is older than the orders, or its ids are written otherwise.",
        tolerance,
        examples or f"select distinct made.item_id {joined} and items.item_id is null",
    )


# What a stop undoes is no longer in staging and marts when examples are looked up: these look in raw.
UNKNOWN_ORDERED: Final = f"""
    select distinct made.order_id, made.item_id, made.loaded_at
    from raw.purchases as made left join raw.items as items on made.item_id = items.item_id
    where made.item_id is not null and {OF_LINES} and items.item_id is null
"""  # noqa: S608
IMPOSSIBLE_COSTS: Final = f"""
    select item_id, price_cents, cost_cents, loaded_at from raw.items
    where {WINDOW} and price_cents > 0 and (cost_cents > 2 * price_cents or cost_cents < 0)
"""  # noqa: S608

JUMPS: Final = """
    from marts.item_history as made
    inner join marts.item_history as previous
        on made.item_id = previous.item_id and made.valid_from = previous.valid_to
    where
        made.valid_from >= %(loaded_from)s::timestamp_ntz
        and made.valid_from < %(loaded_until)s::timestamp_ntz
        and previous.valid_to >= %(loaded_from)s::timestamp_ntz
"""
JUMPED: Final = "made.price_cents > 5 * previous.price_cents or 5 * made.price_cents < previous.price_cents"

# The price paid for a unit against the catalogue's. A total taken for the price of one is paid several times
# over; a price of one taken for the total is a fraction of it. Sales and old prices move the median far less.
LEAST_PAID: Final = 0.3
MOST_PAID: Final = 1.5
PAID: Final = f"""
    from marts.order_lines as made inner join staging.stg_items as items on made.item_id = items.item_id
    where made.quantity > 0 and items.price_cents > 0 and {OF_LINES}
"""
PAID_RATIO: Final = "made.price_cents / (made.quantity * items.price_cents)"


def _paid(name: str, fails: str, allowed: float, meaning: str, *, at_least: bool = False) -> Check:
    return Check(
        name,
        "warn",
        f"""
        select count_rows as count_checked, iff(ratio {fails} {allowed}, count_rows, 0) as count_failed, ratio as value
        from (select count(*) as count_rows, median(({PAID_RATIO})::float) as ratio {PAID}) as paid
        """,  # noqa: S608
        meaning,
        "Look in the mapping of the load: unit_price_cents is the price of one unit, line_total_cents that of the line;"
        " and whether catalogue and orders are of one currency and one time.",
        measure=Measure("times the catalogue's price", allowed, at_least=at_least),
        examples=f"select made.order_id, made.item_id, made.quantity, made.price_cents, items.price_cents as catalogue"
        f" {PAID} and {PAID_RATIO} {fails} {allowed}",
    )


CHECKS: Final = (
    _paid(
        "paid_prices_low",
        "<",
        LEAST_PAID,
        "Units were paid for with a fraction of their catalogue price: a unit price may stand where a line's total is.",
        at_least=True,
    ),
    _paid(
        "paid_prices_high",
        ">",
        MOST_PAID,
        "Units were paid for with far more than their catalogue price: a line's total may stand where a unit price is.",
    ),
    _unique("events_unique", "staging.stg_events", "session_id, event_id"),
    _unique("order_lines_unique", "marts.order_lines", "order_id, item_id"),
    _unique("items_unique", "staging.stg_items", "item_id"),
    _known("order_items_known", "stop", "marts.order_lines", tolerance=0.05, examples=UNKNOWN_ORDERED),
    _known("event_items_known", "warn", "marts.session_events", tolerance=0.01),
    Check(
        "catalogue_volume",
        "stop",
        "select 1 as count_checked, iff(count(*) = 0, 1, 0) as count_failed from staging.stg_items",
        "There is no catalogue: nothing can be recommended.",
        "Load the items and run the day again.",
    ),
    share(
        "item_prices",
        "warn",
        "staging.stg_items",
        "price_cents <= 0 or price_cents > 10000000",
        tolerance=0.01,
        show="item_id, price_cents",
        meaning="Items cost nothing, or more than 100,000.",
        remedy="Prices are whole cents: see whether the source writes units, and load the catalogue again.",
    ),
    replace(
        share(
            "item_margins",
            "stop",
            "marts.items",
            "margin_share < -1 or margin_share > 1",
            tolerance=0.01,
            meaning="Items cost the shop more than twice what they sell for; ranking by profit would hide them.",
            remedy="Cost is whole cents of one unit, not of a case: correct it and load the catalogue again.",
        ),
        examples=IMPOSSIBLE_COSTS,
    ),
    share(
        "item_costs",
        "warn",
        "staging.stg_items",
        "cost_cents > price_cents or cost_cents < 0",
        tolerance=0.1,
        where=f"{WINDOW} and cost_cents is not null and price_cents > 0",
        show="item_id, price_cents, cost_cents",
        meaning="Many items are sold below their cost.",
        remedy="Look whether costs are older than prices, or of another unit.",
    ),
    Check(
        "price_jumps",
        "warn",
        f"select count(*) as count_checked, coalesce(sum(iff({JUMPED}, 1, 0)), 0) as count_failed {JUMPS}",
        "Prices changed by more than five times from one version of an item to the next.",
        "Cents and units were mixed up, or ids were given to other items: compare with the shop.",
        0.01,
        "select made.item_id, previous.price_cents as before_cents, made.price_cents as after_cents"
        f" {JUMPS} and ({JUMPED})",
    ),
    share(
        "item_texts",
        "warn",
        "staging.stg_items",
        "title = '' or category = ''",
        tolerance=0.01,
        show="item_id, title, category",
        meaning="Items have no title or no category; the text model knows nothing of them.",
        remedy="Complete the catalogue; new items without text are found by nobody.",
    ),
)
