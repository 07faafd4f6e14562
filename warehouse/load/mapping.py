"""The mapping from a delivered file's columns to ours: stated in a mapping file, else found by common names.

The mapping file is JSON, one object a table: `columns` (ours: theirs), `constants` (ours: value), `values`
(ours: {theirs: ours}), `time_zone` of times that carry none, `date_order` ("day_first" or "month_first"),
`time_format`, `price_unit` ("units" or "cents"), `decimal_separator`, `category_separator` and `no_shopper` (what
stands where there is no shopper). Columns are guessed where it names none, and the choice is always printed; what a
comma, 1/12/2010 or the `price` of an order line means is never guessed.

Decisions: docs/decisions/load.md (173).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from recommender.contracts.event_kinds import EVENT_KINDS
from recommender.contracts.fields import problem

from warehouse.load.identities import NO_SHOPPER, is_personal
from warehouse.load.offers import LINE_TOTAL, PRICES, TOTAL_NAMES, UNIT_NAMES, UNIT_PRICE, check_prices, require_price
from warehouse.raw.raw_append import REQUIRED
from warehouse.tables import PLACE, RAW

TABLES: Final = ("items", "purchases", "events", "reviews", "shoppers")
ITEM_FIELDS: Final = ("item_id", "quantity", "price_cents", "index")  # of an event with one item a row
# Names that shops and their tools use, after lower case and `_` for everything else. First come, first served.
SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "item_id": (
        "product_id",
        "sku",
        "article_id",
        "itemid",
        "productid",
        "variant_id",
        "stock_code",
        "stockcode",
        "asin",
        "parent_asin",
    ),
    "order_id": ("transaction_id", "basket_id", "invoice", "invoice_no", "invoiceno", "orderid", "order_number"),
    "shopper_id": ("customer_id", "user_id", "household_id", "customerid", "userid", "client_id", "member_id"),
    "purchased_at": ("order_date", "invoice_date", "invoicedate", "ordered_at", "created_at", "timestamp", "date"),
    "quantity": ("qty", "units", "count"),
    "order_line_id": ("line_item_id", "order_item_id", "orderline_id"),
    UNIT_PRICE: UNIT_NAMES,
    LINE_TOTAL: TOTAL_NAMES,
    "price_cents": ("price", "unit_price", "unitprice", "item_price", "sale_price"),  # an item's: of one unit
    "cost_cents": ("cost", "unit_cost", "cogs"),
    "title": ("name", "product_name", "item_name", "product_title"),
    "description": ("product_description", "details", "body"),
    "category": ("product_category", "category_path", "categories", "product_type", "department"),
    "brand": ("manufacturer", "vendor", "item_brand"),
    "availability": ("stock_status", "in_stock"),
    "event_id": ("id", "message_id", "messageid", "insert_id"),
    "event_name": ("event", "event_type", "type", "action"),
    "event_time": ("timestamp", "time", "ts", "occurred_at", "created_at", "event_timestamp", "date"),
    "visitor_id": ("user_pseudo_id", "anonymous_id", "anonymousid", "visitorid", "client_id", "cookie_id"),
    "session_id": ("user_session", "session", "sessionid", "ga_session_id", "visit_id"),
    "user_id": ("customer_id", "shopper_id", "userid"),
    "item_list_id": ("placement", "list_id", "item_list"),
    "search_term": ("query", "search_query", "keyword"),
    "transaction_id": ("transactionid", "order_id"),
    "review_id": ("id", "reviewid"),
    "rating": ("stars", "score", "overall"),
    "text": ("review_text", "comment", "reviewtext", "body", "review"),
    "reviewed_at": ("review_date", "timestamp", "created_at", "date"),
}
EVENT_SYNONYMS: Final[Mapping[str, str]] = {
    alias: name for name, kind in EVENT_KINDS.items() for alias in (*kind.ga4, *kind.aliases)
}
# Never taken along: columns without a name, and those that a file of refused rows has beside the delivered ones.
OURS: Final = re.compile(r"#\d+|rejected_(row|reason)")
OPTIONS: Final = (
    "values",
    "time_zone",
    "date_order",
    "time_format",
    "price_unit",
    "decimal_separator",
    "category_separator",
    "no_shopper",
)
KEYS: Final = {"columns", "constants", *OPTIONS}
CHOICES: Final = {
    "date_order": ("day_first", "month_first"),
    "price_unit": ("units", "cents"),
    "decimal_separator": (".", ","),
}


@dataclass(frozen=True, slots=True)
class Mapped:
    """The rules that turn one file into rows of raw.`table`."""

    table: str
    columns: Mapping[str, str] = field(default_factory=dict)  # ours: theirs
    constants: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    time_zone: str = "UTC"
    date_order: str = ""  # empty: `1/12/2010` is refused
    time_format: str = ""  # of all times of the file, where they are none of the common ones
    decimal_separator: str = ""  # empty: a number with a comma is refused
    price_unit: str = ""  # empty: a column whose name ends in _cents has cents, any other units
    category_separator: str = ""
    no_shopper: tuple[str, ...] = NO_SHOPPER  # what stands where there is none
    extra: tuple[str, ...] = ()  # theirs, taken along under their own name
    personal: tuple[str, ...] = ()  # theirs, left in the file

    def in_cents(self, ours: str) -> bool:
        """Return whether a price column holds whole cents."""
        if self.price_unit:
            return self.price_unit == "cents"
        return ours in self.constants or self.columns.get(ours, "").lower().endswith("_cents")

    def lines(self) -> list[str]:
        """The choice as text, one line a column."""
        shown = [f"{ours} = {theirs}" for ours, theirs in self.columns.items()]
        shown += [f"{ours} = {value!r} (constant)" for ours, value in self.constants.items()]
        prices = [ours for ours in self.columns if ours.endswith("_cents")]
        shown += [f"{ours} holds {'cents' if self.in_cents(ours) else 'units, times 100'}" for ours in prices]
        shown.append(f"times without a zone are {self.time_zone}")
        stated = {name: getattr(self, name) for name in ("date_order", "time_format", "decimal_separator")}
        shown += [f"{name} is {value}" for name, value in stated.items() if value]
        if self.extra:
            shown.append(f"taken along: {', '.join(self.extra)}")
        if self.personal:
            shown.append(f"left in the file, as they may identify a person: {', '.join(self.personal)}")
        return shown


def read_mapping(path: Path | None) -> dict[str, dict[str, Any]]:
    """The mapping file as checked objects, one a table. Raises InvalidInput."""
    if path is None:
        return {}
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise problem("/mapping", str(error), "a JSON object, one entry a table") from error
    if not isinstance(stated, dict) or not all(isinstance(entry, dict) for entry in stated.values()):
        raise problem("/mapping", type(stated).__name__, "an object of objects")
    for table, entry in stated.items():
        if table not in TABLES:
            raise problem(f"/mapping/{table}", table, f"one of {', '.join(TABLES)}")
        _check(table, entry)
    return stated


def mapped(table: str, theirs: Sequence[str], stated: Mapping[str, Any]) -> Mapped:
    """Take the stated columns, and guess the rest. Raises InvalidInput where a required column is not found."""
    ours = fields_of(table)
    columns: dict[str, str] = dict(stated.get("columns", {}))
    constants = dict(stated.get("constants", {}))
    if unknown := [name for name in columns.values() if name not in theirs]:
        raise problem(f"/mapping/{table}/columns", ", ".join(unknown), f"columns of the file: {', '.join(theirs)}")
    by_name = {plain(name): name for name in reversed(theirs)}
    free = {name: theirs for name, theirs in by_name.items() if theirs not in columns.values()}
    open_fields = [name for name in ours if name not in columns and name not in constants]
    if any(name in columns or name in constants for name in PRICES):
        open_fields = [name for name in open_fields if name not in PRICES]
    for name in open_fields:  # own names first: a synonym must not take another field's column
        if name in free:
            columns[name] = free.pop(name)
    for name in open_fields:
        found = next((synonym for synonym in SYNONYMS.get(name, ()) if synonym in free), None)
        if name not in columns and found:
            columns[name] = free.pop(found)
    rest = [name for name in theirs if name not in columns.values()]
    personal = tuple(name for name in rest if is_personal(name))
    taken = {name for name, _ in RAW[table]} | {"loaded_at", "row_number", *ours}
    by_plain = {plain(name): name for name in reversed(rest) if name not in personal and not OURS.fullmatch(name)}
    extra = tuple(name for name in rest if by_plain.get(plain(name)) == name and plain(name) not in taken)
    options = {name: stated[name] for name in OPTIONS if name in stated}
    if "no_shopper" in options:
        options["no_shopper"] = tuple(options["no_shopper"])
    in_order = {name: columns[name] for name in ours if name in columns}
    made = Mapped(table, in_order, constants, extra=extra, personal=personal, **options)
    _require(made, theirs)
    return made


def fields_of(table: str) -> tuple[str, ...]:
    """The fields a column can be mapped to; an event may name its one item in columns of its own."""
    names = tuple(name for name, _ in RAW[table] if name not in ("attributes", "claims", *PLACE))
    if table == "purchases":  # raw has one price, of the line; a file has this or the price of one unit
        names = tuple(name for name in names if name != "price_cents") + PRICES
    return (*names, *ITEM_FIELDS) if table == "events" else names


def plain(name: str) -> str:
    """`Unit Price` and `unit-price` as `unit_price`."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _require(made: Mapped, theirs: Sequence[str]) -> None:
    have = {*made.columns, *made.constants}
    derived = {"event_id", "session_id"} if made.table == "events" else {"review_id"} & set(REQUIRED[made.table])
    if made.table == "events" and "user_id" in have:
        derived.add("visitor_id")
    if made.table == "purchases":
        derived = {"price_cents"}
    if missing := [name for name in REQUIRED[made.table] if name not in have | derived]:
        raise problem(
            f"/{made.table}",
            f"no column for {', '.join(missing)}",
            f"a mapping file that names them; the file has {', '.join(theirs)}",
        )
    if made.table == "purchases":
        require_price(have, theirs, [plain(name) for name in theirs])


def _check(table: str, entry: Mapping[str, Any]) -> None:
    pointer = f"/mapping/{table}"
    if unknown := sorted(set(entry) - KEYS):
        raise problem(pointer, ", ".join(unknown), f"keys {', '.join(sorted(KEYS))}")
    for key in ("columns", "constants", "values"):
        if not isinstance(entry.get(key, {}), dict):
            raise problem(f"{pointer}/{key}", entry[key], "an object")
    if table == "purchases":
        check_prices(entry)
    for key in ("columns", "constants", "values"):
        if wrong := sorted(set(entry.get(key, {})) - set(fields_of(table))):
            raise problem(f"{pointer}/{key}", ", ".join(wrong), f"fields {', '.join(fields_of(table))}")
    zone = entry.get("time_zone", "UTC")
    if zone != "UTC" and zone not in available_timezones():
        raise problem(f"{pointer}/time_zone", zone, "a name such as Europe/Berlin")
    ZoneInfo(zone)
    for key, choices in CHOICES.items():
        if key in entry and entry[key] not in choices:
            raise problem(f"{pointer}/{key}", entry[key], " or ".join(choices))
    for key in ("time_format", "category_separator"):
        if not isinstance(entry.get(key, ""), str):
            raise problem(f"{pointer}/{key}", entry[key], "text")
    stated = entry.get("no_shopper", [])
    if not isinstance(stated, list) or not all(isinstance(text, str) for text in stated):
        raise problem(f"{pointer}/no_shopper", stated, "a list of texts")
