"""Ids as one spelling: whole floats without `.0`, and nothing where a file writes a word for nothing.

`17850.0` is what a spreadsheet or a data frame makes of 17850, and a shopper called `NA` would be the best customer
of the shop. What stands for no shopper is a list that a mapping file may replace.

Personal data: columns by their names, and e-mail addresses wherever they stand.

Nothing here needs to know it. Such columns stay in the delivered file unless the mapping names them, and a refused
row is kept without them.

Decisions: docs/decisions/load.md (174).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

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
    """The column `name` of trimmed texts in one spelling; null where it stands for nothing."""
    text = whole(text)
    nothing = [*no_shopper] if name in SHOPPERS else [*NOTHING] if name in VISITS else []
    if not nothing:
        return text
    return text.set(text.str.to_lowercase().is_in([word.lower() for word in nothing]), None)


def whole(text: pl.Series) -> pl.Series:
    """Texts such as `17850.0` as `17850`, others as they are."""
    return text.str.replace(WHOLE_FLOAT, "$1")


PERSONAL: Final = re.compile(
    r"(^|_)(e?_?mails?|phone|telephone|tel|mobile|fax|address\d?|street|zip|zipcode|postcode|postal|ip|name|surname"
    r"|(first|last|full|user|given|family|nick|customer|billing|shipping)_?(name|address|email|phone)|emailaddress"
    r"|ipaddress|birth\w*|dob|iban|passw\w*)($|_)"
)
WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # customerName: customer, Name
PART: Final = r"[^\s@,;:|<>\"'(){}\[\]=]"
EMAIL: Final = re.compile(f"(?<!{PART}){PART}+(?:@|%40){PART}+")  # from the start of a word, so that each is read once
MASKED: Final = "(e-mail)"
NOT_KEPT: Final = "(not kept: the row may identify a person)"


def is_personal(name: str) -> bool:
    """Return whether a column, by its name, may identify a person."""
    return bool(PERSONAL.search(_words(name)))


def masked(text: str) -> str:
    """The text with every e-mail address put out of sight."""
    return EMAIL.sub(MASKED, text)


def without_persons(content: str, *, kept: Iterable[str] = (), columns: Iterable[str] = ()) -> str:
    """A refused row, as it may be kept: without personal columns (but `kept`), nested ones too, and without e-mails.

    A line that is no row has no columns to leave out: it is kept where neither the file's `columns` nor the line
    itself name anything personal.
    """
    try:
        row = json.loads(content)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        kept = frozenset(kept)
        shown = {masked(name): _scrubbed(value) for name, value in row.items() if name in kept or not is_personal(name)}
        return json.dumps(shown, ensure_ascii=False)
    if PERSONAL.search(_words(content)) or any(is_personal(name) for name in columns):
        return NOT_KEPT
    return masked(content)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {masked(name): _scrubbed(inner) for name, inner in value.items() if not is_personal(name)}
    if isinstance(value, list):
        return [_scrubbed(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("{", "["):
        try:
            return json.dumps(_scrubbed(json.loads(value)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return NOT_KEPT if PERSONAL.search(_words(value)) else masked(value)
    return masked(value)


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", WORDS.sub("_", text).lower())
