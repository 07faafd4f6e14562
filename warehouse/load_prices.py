"""What an order line cost: from the price of one unit or from the total of the line, exactly one of them mapped.

A unit price is never taken for the price of a line. A name that may be either (`price`, `amount`, `revenue`) is
refused until the mapping file says which it is, as 1/12/2010 is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.fields import problem

from warehouse.load_items import MOST_CENTS

if TYPE_CHECKING:
    import polars as pl

UNIT_PRICE: Final = "unit_price_cents"
LINE_TOTAL: Final = "line_total_cents"
PRICES: Final = (UNIT_PRICE, LINE_TOTAL)  # of an order line, in the place of raw's price_cents
# Names that say which of the two they are. `total_price` is the order's in one shop and the line's in another.
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
