"""Reading JSON by contract: each reader returns a checked value or names the field that is wrong.

The API, the event stream and the configuration files all parse through these few functions, so
that an error always names the place, the value and the expectation.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from recommender.errors import FieldProblem, InvalidInput

ID_MAX_LENGTH = 128
MAX_SHOWN: Final = 80  # characters of a value or a name that an error repeats
MAX_POINTER: Final = 256  # characters of a place that an error names
MAX_PROBLEMS: Final = 20  # unknown fields that one error lists
_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")

_RFC_3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]((?:[01][0-9]|2[0-3]):[0-5][0-9]):([0-9]{2})(\.[0-9]+)?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = MAX_SHOWN


def problem(pointer: str, value: object, expected: str, code: str = "invalid_argument") -> InvalidInput:
    """An InvalidInput for one field; long and deep values are cut so that an error stays readable."""
    shown = repr(value[:MAX_SHOWN]) if isinstance(value, str) else _SHORT.repr(value)
    is_cut = len(shown) > MAX_SHOWN or (isinstance(value, str) and len(value) > MAX_SHOWN)
    where = pointer if len(pointer) <= MAX_POINTER else pointer[: MAX_POINTER - 3] + "..."
    return InvalidInput(
        FieldProblem(_whole(where), shown[: MAX_SHOWN - 3] + "..." if is_cut else shown, expected, code)
    )


def shown_name(name: str) -> str:
    """A field's name as an error repeats it: cut, and with halves of characters escaped."""
    return _whole(name[:MAX_SHOWN])


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def one_of(name: str, known: Iterable[str]) -> str:
    """List the known names as the expectation of an error, with the nearest one as "did you mean"."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"one of {', '.join(names)}" + (f" — did you mean {near[0]!r}?" if near else "")


def read_object(value: object, pointer: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise problem(pointer or "/", value, "an object")
    return value


def read_list(value: object, pointer: str, *, at_most: int) -> Sequence[Any]:
    """A JSON array of at most `at_most` elements."""
    if not isinstance(value, list | tuple):
        raise problem(pointer, value, "an array")
    if len(value) > at_most:
        raise problem(pointer, f"{len(value)} elements", f"at most {at_most}", "too_many")
    return value


def read_text(value: object, pointer: str, *, at_most: int = ID_MAX_LENGTH) -> str:
    """A non-empty string of at most `at_most` characters, without halves of surrogate pairs (no store takes them)."""
    if not isinstance(value, str) or not value or len(value) > at_most or _HALF_A_CHARACTER.search(value):
        raise problem(pointer, value, f"a non-empty string of at most {at_most} characters")
    return value


def read_optional_text(value: object, pointer: str, *, at_most: int = ID_MAX_LENGTH) -> str | None:
    """Like `read_text`, or None where the field is absent, null or empty."""
    return None if value is None or value == "" else read_text(value, pointer, at_most=at_most)


def read_integer(value: object, pointer: str, *, low: int, high: int) -> int:
    """An integer in [low, high]; booleans and fractions are refused."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise problem(pointer, value, f"an integer from {low} to {high}")
    return value


def read_number(value: object, pointer: str, *, low: float, high: float) -> float:
    """A number in [low, high]; booleans are refused, and so is NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise problem(pointer, value, f"a number from {low:g} to {high:g}")
    return float(value)


def read_flag(value: object, pointer: str) -> bool:
    """A JSON boolean."""
    if not isinstance(value, bool):
        raise problem(pointer, value, "true or false")
    return value


def read_cents(value: object, pointer: str) -> int:
    """A decimal amount of money as integer cents; refuses negative and absurd amounts."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise problem(pointer, value, "a price from 0 to 999999999")
    return round(value * 100)


def read_time(value: object, pointer: str) -> datetime:
    """An RFC 3339 timestamp with a zone, as UTC; finer fractions than microseconds are cut."""
    found = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is not None:
            return _utc(*found.groups())
    except (ValueError, OverflowError):  # a day that no month has, a zone that leaves the years 1 to 9999
        pass
    raise problem(pointer, value, "an RFC 3339 timestamp with a zone, such as 2026-11-23T02:50:00Z")


def _utc(day: str, minute: str, second: str, fraction: str | None, zone: str) -> datetime:
    """The moment of these parts; a leap second is the one that follows it. Raises ValueError and OverflowError."""
    is_leap = second == "60"
    offset = "+00:00" if zone in "Zz" else zone
    text = f"{day}T{minute}:{'59' if is_leap else second}{(fraction or '.0')[:7].ljust(7, '0')}{offset}"
    moment = datetime.fromisoformat(text).astimezone(UTC)
    if is_leap and (moment.hour, moment.minute) != (23, 59):
        raise ValueError(f"{moment} is no leap second")
    return moment + timedelta(seconds=1) if is_leap else moment


def refuse_unknown(value: Mapping[str, Any], allowed: frozenset[str], pointer: str) -> None:
    """Refuse fields the contract does not know; a typo must not be ignored in silence."""
    unknown = sorted(set(value) - allowed)
    if unknown:
        raise InvalidInput(
            [
                FieldProblem(
                    f"{pointer}/{shown_name(name)}",
                    "an unknown field",
                    "one of " + ", ".join(sorted(allowed)),
                    "unknown_field",
                )
                for name in unknown[:MAX_PROBLEMS]
            ]
        )
