"""Whether an item can be had, in the words that shops and their tools have for it.

Separators, upper case and the address of schema.org say nothing; a number is how many there are. A word that nobody
knows is kept as it is, and counted: where many rows have one the whole catalogue would go out of stock.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from recommender.contracts.fields import problem

from warehouse.load_ids import NOTHING
from warehouse.load_personal import masked

if TYPE_CHECKING:
    import polars as pl

AVAILABILITIES: Final = ("in_stock", "out_of_stock", "preorder", "backorder", "discontinued")
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
UNSAID: Final = tuple(word for word in NOTHING if word not in ("na", "n/a"))  # which may say that it is not available
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
