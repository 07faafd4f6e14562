"""The price of an order line: from the price of one unit or from the total of the line, exactly one of them mapped.

A unit price is never taken for the price of a line. A name that may be either (`price`, `amount`, `revenue`) is
refused until the mapping file states which it is, as 1/12/2010 is.

Whether an item can be had, in the words that shops and their tools have for it.

Separators, upper case and the address of schema.org do not matter; a number is how many there are. A word that nobody
knows is kept as it is, and counted: where many rows have one the whole catalogue would go out of stock.

Decisions: docs/decisions/load.md (201).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.fields import problem

from warehouse.load.events import MOST_CENTS
from warehouse.load.identities import NOTHING, masked
from warehouse.tables import AVAILABILITIES

if TYPE_CHECKING:
    import polars as pl


UNIT_PRICE: Final = "unit_price_cents"
LINE_TOTAL: Final = "line_total_cents"
PRICES: Final = (UNIT_PRICE, LINE_TOTAL)  # of an order line, in the place of raw's price_cents
# Names that tell the two apart. `total_price` is the order's in one shop and the line's in another.
UNIT_NAMES: Final = ("unit_price", "unitprice", "price_per_unit", "price_each", "unit_amount", "unit_price_tax_incl")
TOTAL_NAMES: Final = ("line_total", "linetotal", "line_amount", "extended_price", "row_total", "item_revenue")
EITHER: Final = re.compile(r"price|amount|revenue|total|value|cost|sales|paid|sum|net|gross|spend|money")
OF_A_CENT: Final = 1e-6  # what 2.675 * 100 lacks of 267.5 in binary


def check_prices(stated: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise InvalidInput where a mapping names both prices of an order line, or raw's own column for them."""
    named = {*stated.get("columns", {}), *stated.get("constants", {})}
    if "price_cents" in named:
        raise problem("/mapping/purchases/columns", "price_cents", f"{UNIT_PRICE} or {LINE_TOTAL}: which is it?")
    if named.issuperset(PRICES):
        raise problem("/mapping/purchases/columns", " and ".join(PRICES), "exactly one of them")


def require_price(have: Collection[str], theirs: Sequence[str], plain_names: Sequence[str]) -> None:
    """Raise InvalidInput unless exactly one of the two is there; columns that may be either are named."""
    found = [name for name in PRICES if name in have]
    if len(found) == 1:
        return
    if found:
        raise problem("/purchases", f"columns for {' and for '.join(PRICES)}", "a mapping file that names one of them")
    either = [name for name, plain_name in zip(theirs, plain_names, strict=True) if EITHER.search(plain_name)]
    which = f"which of the two {' or '.join(either)} is" if either else "which column is one of the two"
    raise problem(
        "/purchases",
        f"no column for {' or '.join(PRICES)}",
        f"a mapping file that states {which}: {UNIT_PRICE} (the price of one unit) or {LINE_TOTAL} (of the whole line);"
        f" the file has {', '.join(theirs)}",
    )


def whole_cents(cents: pl.Series) -> pl.Series:
    """Rounded to whole cents, half a cent up; null where it is below 0 or no amount that anybody pays."""
    import polars as pl

    rounded = (cents + 0.5 + OF_A_CENT).floor()
    return rounded.set(~((cents >= 0) & (rounded <= MOST_CENTS)), None).cast(pl.Int64)


MOST_UNKNOWN: Final = 0.05  # of the rows with a value: more of them stop a file
MOST_NAMED: Final = 5
SAYINGS: Final = {
    "in_stock": (
        *("instock", "available", "true", "yes", "y", "t", "on", "active", "limitedavailability", "onlineonly"),
        *("lowstock", "limitedstock", "instoreandonline"),
    ),
    "out_of_stock": (
        *("outofstock", "unavailable", "notavailable", "notinstock", "nostock", "soldout", "false", "no", "n", "f"),
        *("off", "inactive", "instoreonly", "reserved"),
    ),
    "preorder": ("preorder", "presale", "comingsoon"),
    "backorder": ("backorder", "onbackorder", "backordered", "availablefororder", "madetoorder"),
    "discontinued": ("discontinued",),
}
KNOWN: Final = {saying: ours for ours, sayings in SAYINGS.items() for saying in sayings}
UNSAID: Final = tuple(word for word in NOTHING if word not in ("na", "n/a"))  # which may mean that it is not available
SCHEMA_ORG: Final = r"^https?://(www\.)?schema\.org/|^schema:"


def read_availability(text: pl.Series) -> tuple[pl.Series, Counter[str]]:
    """Trimmed texts as AVAILABILITIES, unknown ones in plain letters; and how often each unknown one stands there."""
    import polars as pl

    text = text.set(text.str.to_lowercase().is_in(UNSAID), None)
    spellings = text.unique().drop_nulls()
    lower = spellings.str.to_lowercase().str.replace(SCHEMA_ORG, "")
    number = lower.str.replace_all(r"[\s']", "").cast(pl.Float64, strict=False).fill_nan(None)
    counted = pl.select(pl.when(number > 0).then(pl.lit("in_stock")).otherwise(pl.lit("out_of_stock"))).to_series()
    letters = lower.str.replace_all(r"[^\p{L}\p{N}]+", "")
    known = letters.replace_strict(KNOWN, default=None, return_dtype=pl.String)
    read = known.zip_with(known.is_not_null(), counted.set(number.is_null(), None))
    unknown = spellings.filter(read.is_null())
    plainly = lower.str.replace_all(r"[^\p{L}\p{N}]+", "_")
    read = read.zip_with(read.is_not_null(), plainly)
    if spellings.is_empty():
        return text, Counter()
    found = text.filter(text.is_in(unknown.to_list())) if len(unknown) else text.clear()
    return text.replace_strict(spellings, read, default=None), Counter(found.to_list())


def check_availabilities(file: str, unknown: Counter[str], rows: int) -> None:
    """Raise InvalidInput, naming the words, where too many of `rows` have one that is unknown."""
    if sum(unknown.values()) <= MOST_UNKNOWN * rows:
        return
    named = ", ".join(f"{masked(value)[:40]!r} ({count} rows)" for value, count in unknown.most_common(MOST_NAMED))
    more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
    raise problem(
        f"/{file}",
        f"availability that nobody knows in {sum(unknown.values())} of {rows} rows",
        f"{', '.join(AVAILABILITIES)}, a number, yes or no; `values` in a mapping file states what {named}{more} mean",
    )
