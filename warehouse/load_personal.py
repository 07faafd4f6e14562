"""What may say who somebody is: columns by their names, and e-mail addresses wherever they stand.

Nothing here needs to know it. Such columns stay in the delivered file unless the mapping names them, and a refused
row is kept without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

PERSONAL: Final = re.compile(
    r"(^|_)(e?_?mails?|phone|telephone|tel|mobile|fax|address\d?|street|zip|zipcode|postcode|postal|ip|name|surname"
    r"|(first|last|full|user|given|family|nick|customer|billing|shipping)_?(name|address|email|phone)|emailaddress"
    r"|ipaddress|birth\w*|dob|iban|passw\w*)($|_)"
)
WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # customerName: customer, Name
PART: Final = r"[^\s@,;:|<>\"'(){}\[\]=]"
EMAIL: Final = re.compile(f"(?<!{PART}){PART}+(?:@|%40){PART}+")  # from the start of a word, so that each is read once
MASKED: Final = "(e-mail)"
NOT_KEPT: Final = "(not kept: the row may say who somebody is)"


def is_personal(name: str) -> bool:
    """Whether a column, by its name, may say who somebody is."""
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
