"""Ids as one spelling: whole floats without `.0`, and nothing where a file writes a word for nothing.

`17850.0` is what a spreadsheet or a data frame makes of 17850, and a shopper called `NA` would be the best customer
of the shop. What stands for no shopper is a list that a mapping file may replace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

# Lower case; empty is always nothing.
NOTHING: Final = (
    *("na", "n/a", "#n/a", "null", "(null)", "<null>", "\\n", "nan", "none", "nil", "<na>"),
    *("(not set)", "(not provided)", "undefined", "-"),
)
NO_SHOPPER: Final = (*NOTHING, "guest", "0", "anonymous")
GUEST: Final = "shopper_id: nobody, as guest or NA says; a guest's row is not taken"
SHOPPERS: Final = ("shopper_id", "user_id", "visitor_id")
VISITS: Final = ("session_id", "transaction_id", "order_id")
IDS: Final = (*SHOPPERS, *VISITS, "item_id", "event_id", "review_id", "order_line_id")
WHOLE_FLOAT: Final = r"^(-?\d+)\.0+$"


def read_id(name: str, text: pl.Series, no_shopper: Iterable[str]) -> pl.Series:
    """The column `name` of trimmed texts in one spelling; null where it says that there is nothing."""
    text = whole(text)
    nothing = [*no_shopper] if name in SHOPPERS else [*NOTHING] if name in VISITS else []
    if not nothing:
        return text
    return text.set(text.str.to_lowercase().is_in([word.lower() for word in nothing]), None)


def whole(text: pl.Series) -> pl.Series:
    """Texts such as `17850.0` as `17850`, others as they are."""
    return text.str.replace(WHOLE_FLOAT, "$1")
