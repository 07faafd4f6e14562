"""Reconciliation of delivered rows, stage by stage: file, refused, loaded, staged, mart, exported.

Rows, and of order lines also orders, units, money and shoppers. The file's own figures are those of its rows as far as
they could be read, so money that was refused is in them. Refunds are not a loss: lines count as they were sold.

Decisions: docs/decisions/load.md (202).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from warehouse.engine.statements import execute
from warehouse.load.tally import GOOD, Tally, total

if TYPE_CHECKING:
    from warehouse.engine.statements import Connection
    from warehouse.load.delivery import Outcome

MOST_LOST: Final = 0.2
MEASURES: Final = ("rows", "orders", "units", "cents", "shoppers")
HEADS: Final = ("rows", "orders", "units", "money", "shoppers")
LONGEST_NAME: Final = 58
GUESTS: Final = "shopper_id: empty"  # of an order line: nobody signed in

# The items of orders that came at the moment, as staging and the marts have them now.
OF_LINES: Final = """
    with mine as (
        select distinct order_id, item_id from raw.purchases
        where loaded_at = %(loaded_at)s::timestamp_ntz and order_id is not null and item_id is not null
    ),

    staged as (
        select stg.order_id, stg.item_id, count(*) as count_lines, sum(stg.quantity) as quantity,
            sum(stg.price_cents) as price_cents, max(stg.shopper_id) as shopper_id
        from staging.stg_purchases as stg
        inner join mine on stg.order_id = mine.order_id and stg.item_id = mine.item_id
        group by stg.order_id, stg.item_id
    ),

    made as (
        select lines.order_id, lines.item_id, lines.shopper_id, lines.quantity as kept,
            lines.quantity + lines.refunded_quantity as quantity,
            iff(lines.refunded_quantity = 0, lines.price_cents, staged.price_cents) as price_cents
        from marts.order_lines as lines
        inner join staged on lines.order_id = staged.order_id and lines.item_id = staged.item_id
    ),

    exported as (
        select made.*
        from made
        left join exports.purchases_v1 as purchases
            on made.order_id = purchases.order_id and made.item_id = purchases.item_id
        where purchases.order_id is not null or made.kept = 0
    )
"""
FIGURES: Final = """
    select '{name}' as name, {rows} as count_rows, count(distinct order_id) as count_orders,
        coalesce(sum(quantity), 0) as units, coalesce(sum(price_cents), 0) as cents,
        count(distinct shopper_id) as count_shoppers
    from {source}
"""
LINES: Final = f"""{OF_LINES}
    {FIGURES.format(name="staged", rows="coalesce(sum(count_lines), 0)", source="staged")}
    union all
    {FIGURES.format(name="mart", rows="count(*)", source="made")}
    union all
    {FIGURES.format(name="exported", rows="count(*)", source="exported")}
"""
COUNTED: Final = "select count(*) from {source} where loaded_at = %(loaded_at)s::timestamp_ntz"
WITHOUT_ORDER: Final = """
    select count(*) from raw.events
    where
        loaded_at = %(loaded_at)s::timestamp_ntz and event_name = 'purchase' and transaction_id is null
        and not coalesce(derived, false)
"""
STAGED: Final[Mapping[str, str]] = {
    "items": "staging.stg_items",
    "events": "staging.stg_events",
    "reviews": "staging.stg_reviews",
    "shoppers": "staging.stg_shoppers",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Figures of a table at one stage; None where it has none of that kind."""

    name: str
    rows: int
    orders: int | None = None
    units: int | None = None
    cents: int | None = None
    shoppers: int | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The stages of each table that was delivered; `notes` name rows that are no loss."""

    tables: Mapping[str, tuple[Stage, ...]]
    notes: tuple[str, ...] = ()

    def lost(self) -> tuple[float, str]:
        """Return the largest share of anything that is lost on the way, and its sentence."""
        found = [(0.0, "")]
        for table, stages in self.tables.items():
            by_name = {stage.name: stage for stage in stages}
            first, last = by_name["file"], by_name.get("exported", by_name["loaded"])
            for measure, head in zip(MEASURES, HEADS, strict=True):
                delivered, kept = getattr(first, measure), getattr(last, measure)
                if measure == "rows":  # a mart has other rows than a file: what counts is what was refused
                    kept = by_name["loaded"].rows
                if delivered and kept is not None:
                    share = 1 - kept / delivered
                    found.append((share, f"{share:.1%} of the {head} of {table} are lost on the way"))
        return max(found)

    def to_body(self) -> dict[str, Any]:
        """As JSON: the stages of each table by name."""
        return {table: [asdict(stage) for stage in stages] for table, stages in self.tables.items()}

    def to_text(self) -> str:
        """As a table for a terminal, money in units of the currency."""
        lines = []
        for table, stages in self.tables.items():
            lines.append(f"{table:{LONGEST_NAME}}" + "".join(f"{head:>14}" for head in HEADS))
            for stage in stages:
                figures = [_shown(measure, getattr(stage, measure)) for measure in MEASURES]
                lines.append(f"  {stage.name:{LONGEST_NAME - 2}.{LONGEST_NAME - 2}}" + "".join(figures))
        return "\n".join([*lines, *self.notes])


def reconcile(
    connection: Connection, outcomes: Sequence[Outcome], loaded_at: datetime, *, is_run: bool
) -> Reconciliation:
    """Follow what the files of one command brought; where the day was stopped, as far as raw."""
    tables = {}
    for table in dict.fromkeys(outcome.table for outcome in outcomes):
        mine = [outcome.tallies for outcome in outcomes if outcome.table == table and not outcome.skipped]
        if mine:
            stages = _of_files(table, mine)
            tables[table] = (*stages, *(_of_warehouse(connection, table, loaded_at) if is_run else ()))
    skipped = sum(outcome.skipped for outcome in outcomes)
    repeated = sum(outcome.repeated for outcome in outcomes)
    ignored = sum(outcome.ignored for outcome in outcomes)
    orderless = execute(connection, WITHOUT_ORDER, {"loaded_at": loaded_at})[0][0] if "events" in tables else 0
    notes = {
        f"{orderless} purchase events name no order (transaction_id) and make none": orderless,
        f"{skipped} files were loaded before and are not in these figures": skipped,
        f"{repeated} rows of items are repeated further down in their file; the last row of each item counts": repeated,
        f"{ignored} rows are of no concern to a shop and are not in these figures": ignored,
    }
    return Reconciliation(tables, tuple(note for note, count in notes.items() if count))


def _of_files(table: str, files: Sequence[Mapping[str, Tally]]) -> tuple[Stage, ...]:
    reasons = dict.fromkeys(reason for tallies in files for reason in tallies if reason != GOOD)
    by_reason = {reason: total(tallies.get(reason, Tally()) for tallies in files) for reason in reasons}
    good, refused = total(tallies.get(GOOD, Tally()) for tallies in files), total(by_reason.values())
    ordered = sorted(by_reason.items(), key=lambda entry: -entry[1].rows)
    return (
        _stage("file", table, good + refused),
        _stage("refused", table, refused),
        *(_stage(f"- {_said(table, reason)}", table, counted) for reason, counted in ordered),
        _stage("loaded", table, good),
    )


def _said(table: str, reason: str) -> str:
    return f"{reason}: guests are not taken" if table == "purchases" and reason == GUESTS else reason


def _stage(name: str, table: str, counted: Tally) -> Stage:
    if table != "purchases":
        return Stage(name, counted.rows)
    return Stage(name, counted.rows, len(counted.orders), counted.units, counted.cents, len(counted.shoppers))


def _of_warehouse(connection: Connection, table: str, loaded_at: datetime) -> tuple[Stage, ...]:
    moment = {"loaded_at": loaded_at}
    if table == "purchases":
        rows = execute(connection, LINES, moment)
        return tuple(Stage(name, *(int(figure) for figure in figures)) for name, *figures in rows)
    ((count,),) = execute(connection, COUNTED.format(source=STAGED[table]), moment)
    return (Stage("staged", int(count)),)


def _shown(measure: str, figure: int | None) -> str:
    if figure is None:
        return f"{'-':>14}"
    return f"{figure / 100:>14,.2f}" if measure == "cents" else f"{figure:>14,}"
