"""Text columns of a piece as rows of a raw table, and the rows that cannot be, each with its reason.

Every value is read by its column's type alone, so how a file is cut or shuffled does not change a row. A row
has one reason, the first that holds; a reason names the column and the expectation, never the value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.events import CLOCK_SKEW, EVENT_NAMES, MAX_ITEMS_PER_EVENT

from warehouse.additions import REQUIRED
from warehouse.load_files import BROKEN, NUMBER, Reject
from warehouse.load_mapping import EVENT_SYNONYMS, ITEM_FIELDS, Mapped, fields_of, plain
from warehouse.tables import RAW

if TYPE_CHECKING:
    import polars as pl

Rule = tuple["pl.Expr", str]  # where it holds the row is refused, for this reason
LONGEST_CONTENT: Final = 16_384
MOST_UNITS: Final = 10_000
MOST_CENTS: Final = 10**12
# A time in any of these, then nothing, Z, UTC or an offset; or seconds, milliseconds, microseconds since 1970.
TIME_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d")
OFFSET: Final = r"\s*(Z|UTC|[+-]\d\d:?\d\d)$"
AVAILABLE: Final = {"true": "in_stock", "1": "in_stock", "false": "out_of_stock", "0": "out_of_stock"}


@dataclass(frozen=True, slots=True)
class Converted:
    """Rows with the columns of the raw table and those taken along, and the rows refused."""

    frame: pl.DataFrame
    rejects: tuple[Reject, ...]


def convert(piece: pl.DataFrame, mapped: Mapped, *, now: datetime) -> Converted:
    """Judge and convert every row of a piece. `now` is naive UTC; times more than five minutes after it are refused."""
    import polars as pl

    lacking = [name for name in (*mapped.columns.values(), *mapped.extra) if name not in piece.columns]
    piece = piece.with_columns(*(pl.lit(None, pl.String).alias(name) for name in lacking))
    ours = piece.select(NUMBER, *_values(mapped))
    kinds = {
        **dict(RAW[mapped.table]),
        "price_cents": "number(18, 0)",
        "quantity": "number(9, 0)",
        "index": "number(9, 0)",
    }
    rules: list[Rule] = [
        (
            pl.any_horizontal(pl.col(ours.columns[1:]).str.contains(f"[{BROKEN}\\x00]")),
            "bytes that are not of the encoding",
        )
    ]
    read = ours
    for name in fields_of(mapped.table):
        if name in ours.columns:
            column, more = _read(name, kinds.get(name, "varchar(128)"), mapped, now)
            read = read.with_columns(column.alias(f"_{name}"))
            rules += more
    if mapped.table == "events":
        read, more = _as_events(read, ours.columns)
        rules += more
    if mapped.table == "reviews":
        rules.append((~pl.col("_rating").is_between(1, 5), "rating: not 1 to 5"))
    rules += [
        (pl.col(f"_{name}").is_null(), f"{name}: empty")
        for name in REQUIRED[mapped.table]
        if f"_{name}" in read.columns
    ]
    reasons = read.select(
        pl.coalesce(*(pl.when(rule).then(pl.lit(reason)) for rule, reason in rules), pl.lit(None, pl.String)).alias(
            "reason"
        )
    ).to_series()
    made = read.select(
        *(
            (pl.col(f"_{name}") if f"_{name}" in read.columns else pl.lit(None, pl.String)).alias(name)
            for name, _ in RAW[mapped.table]
        ),
    ).with_columns(*_taken_along(piece, mapped))
    return Converted(made.filter(reasons.is_null()), _rejects(piece, reasons))


def _values(mapped: Mapped) -> list[pl.Expr]:
    """Our columns as text: theirs, trimmed, empty as null, with stated values put in place; then constants."""
    import polars as pl

    made = []
    for ours, theirs in mapped.columns.items():
        text = pl.col(theirs).str.strip_chars()
        text = pl.when(text != "").then(text)
        if ours in mapped.values:
            text = text.replace(dict(mapped.values[ours]))
        made.append(text.alias(ours))
    return made + [pl.lit(_as_text(value), pl.String).alias(ours) for ours, value in mapped.constants.items()]


def _read(name: str, kind: str, mapped: Mapped, now: datetime) -> tuple[pl.Expr, list[Rule]]:
    """A column by its type, and what refuses a row."""
    import polars as pl

    text, found = pl.col(name), pl.col(f"_{name}")
    unread = text.is_not_null() & found.is_null()  # rules look at what was read, not at how
    if kind == "timestamp_ntz":
        late = found > pl.lit(now + CLOCK_SKEW, pl.Datetime("us"))
        return _time(text, mapped.time_zone), [(unread, f"{name}: not a time"), (late, f"{name}: in the future")]
    if name in ("price_cents", "cost_cents"):
        number = text.str.strip_chars(" $€£").cast(pl.Float64, strict=False)
        cents = (number * (1 if mapped.in_cents(name) else 100)).round()
        read = pl.when(cents.is_between(0, MOST_CENTS)).then(cents).cast(pl.Int64)
        return read, [(unread, f"{name}: not an amount of 0 or more")]
    if kind.startswith("number"):
        number = text.cast(pl.Float64, strict=False)
        low = {"index": 0}.get(name, 1)
        read = pl.when((number == number.floor()) & number.is_between(low, MOST_UNITS)).then(number).cast(pl.Int64)
        return read, [(unread, f"{name}: not a whole number from {low} to {MOST_UNITS}")]
    if kind == "boolean":
        flag = text.str.to_lowercase()
        known = flag.is_in(["true", "false", "1", "0", "t", "f", "yes", "no"])
        return flag.is_in(["true", "1", "t", "yes"]), [(flag.is_not_null() & ~known, f"{name}: not true or false")]
    if name == "event_name":
        called = text.str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "_").replace(dict(EVENT_SYNONYMS))
        return called, [(~found.is_in(EVENT_NAMES), "event_name: none that we know")]
    if name == "category" and mapped.category_separator:
        pieces = text.str.split(mapped.category_separator).list.eval(pl.element().str.strip_chars())
        text = pieces.list.join(" > ")
    if name == "availability":
        text = text.str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "_").replace(AVAILABLE)
    if kind == "variant":
        return text, []
    longest = int(kind.removeprefix("varchar(").removesuffix(")"))
    return text, [(text.str.len_chars() > longest, f"{name}: longer than {longest} characters")]


def _time(text: pl.Expr, zone: str) -> pl.Expr:
    """Naive UTC; null where it is no time. A time without a zone is one of `zone`."""
    import polars as pl

    offset = text.str.extract(OFFSET, 1)
    bare = text.str.replace(OFFSET, "").str.replace("T", " ", literal=True)
    local = pl.coalesce(*(bare.str.to_datetime(form, time_unit="us", strict=False) for form in TIME_FORMATS))
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    hours = offset.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = offset.str.slice(-2).cast(pl.Int64, strict=False)
    shift = pl.duration(minutes=(sign * (hours * 60 + minutes)).fill_null(0))
    at_home = local
    if zone != "UTC":
        at_home = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        at_home = at_home.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    digits = text.str.contains(r"^\d{10}(\d{3}){0,2}$")
    number = pl.when(digits).then(text).cast(pl.Int64, strict=False)
    scale = pl.when(text.str.len_chars() == 10).then(10**6).when(text.str.len_chars() == 13).then(10**3).otherwise(1)
    since = (number * scale).cast(pl.Datetime("us"))
    return pl.when(digits).then(since).when(offset.is_not_null()).then(local - shift).otherwise(at_home)


def _as_events(read: pl.DataFrame, given: Sequence[str]) -> tuple[pl.DataFrame, list[Rule]]:
    """Items as JSON, and the ids that a clickstream may lack: visitor, visit (visitor and day), event (digest)."""
    import polars as pl

    rules: list[Rule] = []
    if "items" in given:
        read = read.with_columns(pl.Series("_items", [_items(text) for text in read["items"].to_list()], pl.String))
        rules.append((pl.col("_items") == BROKEN, "items: not a list of objects with item_id"))
    elif "item_id" in given:
        fields = [pl.col(f"_{name}").alias(name) for name in ITEM_FIELDS if name in given]
        one = pl.format("[{}]", pl.struct(fields).struct.json_encode())
        read = read.with_columns(
            pl.when(pl.col("_item_id").is_not_null()).then(one).otherwise(pl.lit("[]")).alias("_items")
        )
    else:
        read = read.with_columns(pl.lit("[]").alias("_items"))
    nothing = pl.lit(None, pl.String)
    have = {
        name: pl.col(f"_{name}") if name in given else nothing
        for name in ("visitor_id", "user_id", "session_id", "event_id")
    }
    read = read.with_columns(pl.coalesce(have["visitor_id"], have["user_id"]).alias("_visitor_id"))
    visit = pl.format("{}.{}", pl.col("_visitor_id"), pl.col("_event_time").dt.to_string("%Y%m%d"))
    read = read.with_columns(pl.coalesce(have["session_id"], visit).alias("_session_id"))
    if "event_id" in given and not read["_event_id"].has_nulls():
        return read, rules
    told = [name for name in read.columns if name.startswith("_") and name != "_event_id"]
    whole = read.select(pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in told], separator="\x1f"))
    digests = pl.Series(
        "digest", [hashlib.sha256(text.encode()).hexdigest()[:32] for text in whole.to_series()], pl.String
    )
    return read.with_columns(pl.coalesce(have["event_id"], digests).alias("_event_id")), rules


def _items(text: str | None) -> str | None:
    """The items of an event as the contract has them; BROKEN where they are none."""
    if text is None:
        return "[]"
    try:
        items = json.loads(text)
        if not isinstance(items, list) or len(items) > MAX_ITEMS_PER_EVENT:
            return BROKEN
        return json.dumps([_item(item) for item in items])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return BROKEN


def _item(item: dict[str, Any]) -> dict[str, Any]:
    quantity, price, cents, index = (item.get(name) for name in ("quantity", "price", "price_cents", "index"))
    if cents is None and price is not None:
        cents = round(float(price) * 100)
    count = 1 if quantity is None else int(quantity)
    if item["item_id"] in (None, "") or not 1 <= count <= MOST_UNITS or (cents is not None and int(cents) < 0):
        raise ValueError("not an item")
    return {
        "item_id": str(item["item_id"]),
        "quantity": count,
        "price_cents": None if cents is None else int(cents),
        "index": None if index is None else int(index),
    }


def _taken_along(piece: pl.DataFrame, mapped: Mapped) -> list[pl.Series]:
    """Columns of theirs under plain names; of shoppers as one JSON object, their attributes."""
    import polars as pl

    if mapped.table != "shoppers":
        return [piece[name].alias(plain(name)) for name in mapped.extra if plain(name)]
    told = piece.select(mapped.extra).iter_rows(named=True)
    texts = [json.dumps({plain(name): value for name, value in row.items() if value}) for row in told]
    return [pl.Series("attributes", texts or ["{}"] * piece.height, pl.String)]


def _rejects(piece: pl.DataFrame, reasons: pl.Series) -> tuple[Reject, ...]:
    refused = piece.filter(reasons.is_not_null()).iter_rows(named=True)
    return tuple(
        Reject(row.pop(NUMBER), reason, json.dumps(row, ensure_ascii=False)[:LONGEST_CONTENT])
        for reason, row in zip(reasons.drop_nulls(), refused, strict=True)
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
