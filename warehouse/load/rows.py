"""Columns of a piece as rows of a raw table, and the rows that cannot be, each with its reason.

Every value is read by its own content and its column's meaning alone, so how a file is cut, shuffled or packed does
not change a row. A row has one reason, the first that holds; a reason names the column and what to do, never the value.

Decisions: docs/decisions/load.md (189, 192, 200).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.event_kinds import EVENT_NAMES
from recommender.contracts.events import CLOCK_SKEW

from warehouse.load.events import MOST_UNITS, one_item, read_items
from warehouse.load.identities import GUEST, IDS, read_id
from warehouse.load.mapping import EVENT_SYNONYMS, ITEM_FIELDS, Mapped, fields_of, plain
from warehouse.load.offers import LINE_TOTAL, PRICES, UNIT_PRICE, read_availability, whole_cents
from warehouse.load.text import BROKEN, NUMBER, Reject
from warehouse.load.values import AMBIGUOUS, TimeRule, by_spelling, number_of, read_times, text_of
from warehouse.raw.raw_append import REQUIRED
from warehouse.tables import RAW

if TYPE_CHECKING:
    import polars as pl

Rule = tuple["pl.Series", str]  # where it holds the row is refused, for this reason
MOST_LINE_UNITS: Final = 9_999_999  # of an order line: a wholesaler sells by the ten thousand
REASON: Final = "reason"
TRUE: Final = ("true", "1", "t", "yes")
FALSE: Final = ("false", "0", "f", "no")


@dataclass(frozen=True, slots=True)
class Converted:
    """Rows with the columns of the raw table and those taken along, and the rows refused.

    `numbers` are the row numbers of the good rows; `read` has every row's columns as they could be read, refused or
    not, and its `reason`; `unknown` counts words of availability that nobody knows.
    """

    frame: pl.DataFrame
    rejects: tuple[Reject, ...]
    numbers: pl.Series
    read: pl.DataFrame
    unknown: Counter[str] = field(default_factory=Counter)


def convert(piece: pl.DataFrame, mapped: Mapped, *, now: datetime) -> Converted:
    """Judge and convert every row of a piece. `now` is naive UTC; times more than five minutes after it are refused."""
    import polars as pl

    lacking = [name for name in (*mapped.columns.values(), *mapped.extra) if name not in piece.columns]
    piece = piece.with_columns(*(pl.lit(None, pl.String).alias(name) for name in lacking))
    given = _given(piece, mapped)
    rules = _not_of_the_encoding(given)
    read: dict[str, pl.Series] = {}
    for name in fields_of(mapped.table):
        if name in given:
            read[name], more = _read(name, given[name], mapped, now)
            rules += more
    if mapped.table == "events":
        rules += _complete_events(read, given, piece.height)
    if mapped.table == "reviews":
        rules.append((~read["rating"].is_between(1, 5), "rating: not 1 to 5"))
    unknown: Counter[str] = Counter()
    if "availability" in read:
        read["availability"], unknown = read_availability(read["availability"])
        rules += _too_long("availability", read["availability"], 32)
    rules += [(read[name].is_null(), f"{name}: empty") for name in REQUIRED[mapped.table] if name in read]
    if mapped.table == "purchases":
        rules += _line_prices(read)
    reasons = pl.Series([None], dtype=pl.String).new_from_index(0, piece.height)
    for refused, reason in rules:
        if refused.any():
            reasons = reasons.set(refused.fill_null(value=False) & reasons.is_null(), reason)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, piece.height)
    made = pl.DataFrame([read.get(name, nothing).alias(name) for name, _ in RAW[mapped.table]])
    made = made.with_columns(_taken_along(piece, mapped))
    judged = made.with_columns(reasons.alias(REASON))
    good = reasons.is_null()
    rejects = () if good.all() else _rejects(piece, reasons)
    return Converted(made.filter(good), rejects, piece[NUMBER].filter(good), judged, unknown)


def _given(piece: pl.DataFrame, mapped: Mapped) -> dict[str, pl.Series]:
    """Our columns: text trimmed with empty as null and stated values put in place, others as they came; constants."""
    import polars as pl

    given = {}
    for ours, theirs in mapped.columns.items():
        column = piece[theirs]
        if column.dtype == pl.Null:
            column = column.cast(pl.String)
        if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Binary, pl.Decimal) or ours in mapped.values:
            column = text_of(column)
        given[ours] = column.replace(dict(mapped.values[ours])) if ours in mapped.values else column
    for ours, value in mapped.constants.items():
        text = value if isinstance(value, str) else json.dumps(value)
        given[ours] = pl.Series([text], dtype=pl.String).new_from_index(0, piece.height)
    return given


def _not_of_the_encoding(given: Mapping[str, pl.Series]) -> list[Rule]:
    import polars as pl

    texts = [column for column in given.values() if column.dtype == pl.String]
    return [(column.str.contains_any([BROKEN, "\0"]), "bytes that are not of the encoding") for column in texts]


def _read(name: str, given: pl.Series, mapped: Mapped, now: datetime) -> tuple[pl.Series, list[Rule]]:
    """A column by its meaning, and what refuses a row."""
    kind = {"quantity": "number", "index": "number"}.get(name, dict(RAW[mapped.table]).get(name, "varchar(128)"))
    if kind == "timestamp_ntz":
        return _time(name, given, mapped, now)
    if name in ("price_cents", "cost_cents", *PRICES):
        return _amount(name, given, mapped)
    if kind.startswith("number"):
        return _count(name, given, mapped)
    if kind == "boolean":
        flag = text_of(given).str.to_lowercase()
        return flag.is_in(TRUE), [(~flag.is_in((*TRUE, *FALSE)), f"{name}: not true or false")]
    if name == "items":
        items, broken = read_items(given)
        return items, [(broken, "items: not a list of objects with item_id")]
    text = text_of(given)
    if name == "event_name":
        called = by_spelling(text, lambda names: _plainly(names).replace(dict(EVENT_SYNONYMS)))
        return called, [(~called.is_in(EVENT_NAMES), "event_name: none that we know")]
    if name == "category" and mapped.category_separator:
        text = by_spelling(text, lambda paths: _path(paths, mapped.category_separator))
    if name == "availability":
        return text, []  # its words are read, and counted, in `convert`
    if name in IDS:
        given, text = text, read_id(name, text, mapped.no_shopper)
        if name == "shopper_id" and name in REQUIRED[mapped.table]:
            guests = given.is_not_null() & text.is_null()
            return text, [(guests, GUEST), *_too_long(name, text, 128)]
    longest = int(kind.removeprefix("varchar(").removesuffix(")")) if kind != "variant" else 1 << 24
    return text, _too_long(name, text, longest)


def _too_long(name: str, text: pl.Series, longest: int) -> list[Rule]:
    # Bytes are counted first because it costs next to nothing, and no text has more characters than bytes.
    if (text.str.len_bytes().max() or 0) <= longest:
        return []
    return [(text.str.len_chars() > longest, f"{name}: longer than {longest} characters")]


def _time(name: str, given: pl.Series, mapped: Mapped, now: datetime) -> tuple[pl.Series, list[Rule]]:
    import polars as pl

    if given.dtype not in (pl.String, pl.Date, pl.Datetime) and not given.dtype.is_integer():
        given = text_of(given)
    found = read_times(given, TimeRule(mapped.time_zone, mapped.date_order, mapped.time_format))
    rules: list[Rule] = [(found > now + CLOCK_SKEW, f"{name}: in the future")]
    unread = given.is_not_null() & found.is_null()
    if unread.any():
        if given.dtype == pl.String and not mapped.date_order:
            either = f"{name}: which is the day and which the month? State date_order in the mapping"
            rules.append((unread & given.str.contains(AMBIGUOUS), either))
        rules.append((unread, f"{name}: not a time"))
    return found, rules


def _amount(name: str, given: pl.Series, mapped: Mapped) -> tuple[pl.Series, list[Rule]]:
    import polars as pl

    number = number_of(given, mapped.decimal_separator)
    cents = number * (1 if mapped.in_cents(name) else 100)
    read = cents.set(whole_cents(cents).is_null(), None) if name == UNIT_PRICE else whole_cents(cents)
    unread = given.is_not_null() & read.is_null()
    if given.dtype.is_float():
        unread &= given.is_not_nan()
    rules: list[Rule] = []
    if unread.any():
        if given.dtype == pl.String and not mapped.decimal_separator:
            comma = f"{name}: is the comma a decimal one? State decimal_separator in the mapping"
            rules.append((unread & given.str.contains(",", literal=True), comma))
        rules.append((unread, f"{name}: not an amount of 0 or more"))
    return read, rules


def _count(name: str, given: pl.Series, mapped: Mapped) -> tuple[pl.Series, list[Rule]]:
    import polars as pl

    number = number_of(given, mapped.decimal_separator)
    low = {"index": 0}.get(name, 1)
    most = MOST_LINE_UNITS if mapped.table == "purchases" else MOST_UNITS
    is_one = (number == number.floor()) & number.is_between(low, most)
    read = number.set(~is_one, None).cast(pl.Int64)
    unread = given.is_not_null() & read.is_null()
    if given.dtype.is_float():
        unread &= given.is_not_nan()
    rules: list[Rule] = []
    if unread.any():
        if name == "quantity" and mapped.table == "purchases":
            rules.append((number < 0, "quantity: below 0; a return is loaded as a refund event (docs/data.md)"))
        rules.append((unread, f"{name}: not a whole number from {low} to {most}"))
    return read, rules


def _line_prices(read: dict[str, pl.Series]) -> list[Rule]:
    """Put in `price_cents`, of the whole line, rounded once; a price of one unit is still in parts of a cent."""
    name = UNIT_PRICE if UNIT_PRICE in read else LINE_TOTAL
    given = read.pop(name)
    read["price_cents"] = whole_cents(given * read["quantity"]) if name == UNIT_PRICE else given
    too_much = given.is_not_null() & read["quantity"].is_not_null() & read["price_cents"].is_null()
    return [(given.is_null(), f"{name}: empty"), (too_much, f"{name}: too much for a line")]


def _plainly(text: pl.Series) -> pl.Series:
    return text.str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "_")


def _path(text: pl.Series, separator: str) -> pl.Series:
    import polars as pl

    return text.str.split(separator).list.eval(pl.element().str.strip_chars()).list.join(" > ")


def _complete_events(read: dict[str, pl.Series], given: Mapping[str, pl.Series], rows: int) -> list[Rule]:
    """Items from columns, and the ids that a clickstream may lack: visitor, visit (visitor and day), event (digest)."""
    import polars as pl

    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, rows)
    if "items" not in given:
        fields = {name: read[name] for name in ITEM_FIELDS if name in given}
        empty = pl.Series(["[]"], dtype=pl.String).new_from_index(0, rows)
        read["items"] = one_item(fields) if "item_id" in given else empty
    visitor, user = read.get("visitor_id", nothing), read.get("user_id", nothing)
    read["visitor_id"] = visitor.zip_with(visitor.is_not_null(), user)
    session = read.get("session_id", nothing)
    if session.has_nulls():
        visit = read["visitor_id"] + "." + read["event_time"].dt.to_string("%Y%m%d")
        session = session.zip_with(session.is_not_null(), visit)
    read["session_id"] = session
    event_id = read.get("event_id", nothing)
    if event_id.has_nulls():
        event_id = event_id.zip_with(event_id.is_not_null(), _digests(read))
    read["event_id"] = event_id
    return []


def _digests(read: Mapping[str, pl.Series]) -> pl.Series:
    """An id for every row, made of all its values: the same row is the same event in whatever file it comes."""
    import polars as pl

    given = [name for name, _ in RAW["events"] if name in read and name != "event_id"]
    whole = pl.DataFrame([read[name].alias(name) for name in given]).select(
        pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in given], separator="\x1f")
    )
    digests = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in whole.to_series().to_list()]
    return pl.Series("event_id", digests, pl.String)


def _taken_along(piece: pl.DataFrame, mapped: Mapped) -> list[pl.Series]:
    """Columns of theirs as text under plain names; of shoppers as one JSON object, their attributes."""
    import polars as pl

    if mapped.table != "shoppers":
        return [text_of(piece[name]).alias(plain(name)) for name in mapped.extra if plain(name)]
    given = pl.DataFrame([text_of(piece[name]).alias(plain(name)) for name in mapped.extra])
    texts = [json.dumps({name: value for name, value in row.items() if value}) for row in given.iter_rows(named=True)]
    return [pl.Series("attributes", texts or ["{}"] * piece.height, pl.String)]


def _rejects(piece: pl.DataFrame, reasons: pl.Series) -> tuple[Reject, ...]:
    refused = piece.filter(reasons.is_not_null()).iter_rows(named=True)
    return tuple(
        Reject(row.pop(NUMBER), reason, json.dumps(_shown(row), ensure_ascii=False, default=str))
        for reason, row in zip(reasons.drop_nulls(), refused, strict=True)
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in row.items()}  # NaN is no JSON
