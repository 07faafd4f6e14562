"""Values of one column by the type raw wants, whatever type the file gives it; null where it cannot be read.

Numbers may be grouped by spaces or apostrophes. A comma is read only where the mapping says which it is:
`1,299` is a thousand in one country and one and a bit in another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

BLANKS: Final = " \t\r\n\x0b\x0c\u00a0\u2007\u202f\u3000\u200b\u200c\u200d\u2060\ufeff"
GROUPING: Final = r"[\s'’\u00a0\u202f]"
CURRENCY: Final = BLANKS + "$€£"


def json_text(value: Any) -> str | None:
    """A JSON value as text: strings as they are, whole numbers without `.0`, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, default=str, ensure_ascii=False)


def text_of(column: pl.Series) -> pl.Series:
    """As text: trimmed, empty as null, whole floats without `.0`, times in UTC, nested values as JSON."""
    import polars as pl

    kind = column.dtype
    if kind == pl.String:
        text = column
    elif kind.is_float():
        column = column.fill_nan(None).cast(pl.Float64) if kind != pl.Float32 else column.fill_nan(None)
        whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
        text = column.cast(pl.String).zip_with(
            ~whole.fill_null(value=False), column.cast(pl.Int64, strict=False).cast(pl.String)
        )
    elif isinstance(kind, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC") if kind.time_zone else column
        text = utc.dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ" if kind.time_zone else "%Y-%m-%dT%H:%M:%S%.f")
    elif kind.is_nested():
        text = pl.Series([json_text(value) for value in column.to_list()], dtype=pl.String)
    elif kind == pl.Binary:
        text = pl.Series(
            [None if value is None else value.decode(errors="replace") for value in column], dtype=pl.String
        )
    elif kind.is_decimal():
        text = column.cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.strip_suffix(".")
    elif kind == pl.Duration:
        text = column.dt.to_string("iso")
    else:
        text = column.cast(pl.String)
    text = text.str.strip_chars(BLANKS)
    return text.set(text == "", None)


def number_of(column: pl.Series, decimal: str = "") -> pl.Series:
    """As a float; null where it is none, infinite or has a comma of which nothing is stated."""
    import polars as pl

    if column.dtype == pl.String:
        number = column.cast(pl.Float64, strict=False)
        if decimal == ",":  # all of them are written so: a point groups thousands
            number = _plainly(column, decimal)
        else:
            left = column.is_not_null() & number.is_null()
            if left.any():
                number = number.scatter(left.arg_true(), _plainly(column.filter(left), decimal))
    elif column.dtype.is_numeric():
        number = column.cast(pl.Float64, strict=False)
    else:
        number = text_of(column).cast(pl.Float64, strict=False)
    return number.set(~number.is_finite(), None)


def _plainly(text: pl.Series, decimal: str) -> pl.Series:
    import polars as pl

    text = text.str.strip_chars(CURRENCY).str.replace_all(GROUPING, "")
    if decimal == ",":
        text = text.set(text.str.contains(r"\.(\d{0,2}|\d{4,})($|[^\d])"), None)  # a point that groups nothing
        text = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    elif decimal == ".":
        text = text.str.replace_all(r",(\d{3})", "$1")
    return text.cast(pl.Float64, strict=False)


def by_spelling(text: pl.Series, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """A change made once for each of a few spellings."""
    spellings = text.unique().drop_nulls()
    if spellings.is_empty():
        return text
    return text.replace_strict(spellings, change(spellings), default=None)
