"""Values of one column by the type raw wants, whatever type the file gives it; null where it cannot be read.

Numbers may be grouped by spaces or apostrophes. A comma is read only where the mapping states its meaning:
`1,299` is a thousand in one country and one and a bit in another.

Times of any spelling as naive UTC; null where a value is no time or could be two.

A time carries its zone (Z, UTC, an offset), or is seconds, milliseconds, microseconds or nanoseconds since 1970,
or counts in the stated zone. `1/12/2010` is read only where the mapping states which of the two is the day.

Decisions: docs/decisions/load.md (188).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
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


FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d")
CLOCKS: Final = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
ORDERS: Final = {"day_first": "%d/%m/%Y", "month_first": "%m/%d/%Y"}
OFFSET: Final = r"\s*(Z|UTC|[+-]\d\d:?\d\d)$"
AMBIGUOUS: Final = r"^\d{1,2}[./-]\d{1,2}[./-]\d{4}\b"
# What most files hold; each is tried on a whole column before the rest is looked at value by value.
WHOLE: Final = ("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d")
EARLIEST: Final = datetime(1900, 1, 1)  # `10-01-05` is not a day of the year 10


@dataclass(frozen=True, slots=True)
class TimeRule:
    """The mapping's statements about times: the zone of those without one, the order of day and month, a format."""

    zone: str = "UTC"
    order: str = ""
    format: str = ""


def read_times(column: pl.Series, rule: TimeRule) -> pl.Series:
    """Text, dates, times or numbers since 1970 as naive UTC in microseconds."""
    import polars as pl

    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone:
            return _checked(column.dt.convert_time_zone("UTC").dt.replace_time_zone(None))
        return _checked(_at_home(column, rule.zone))
    if kind == pl.Date:
        return _checked(_at_home(column.cast(pl.Datetime("us")), rule.zone))
    if kind.is_integer():
        return _checked(_since_1970(column.cast(pl.Int64, strict=False)))
    return _checked(_of_text(column, rule))


def _of_text(text: pl.Series, rule: TimeRule) -> pl.Series:
    """First the format of the first value for all of them, then every other spelling for what is left."""
    import polars as pl

    found = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    given = text.drop_nulls()
    if given.is_empty():
        return found
    if rule.format:
        return _at_home(text.str.to_datetime(rule.format, time_unit="us", strict=False), rule.zone)
    for form in WHOLE:
        if given[:1].str.to_datetime(form, time_unit="us", strict=False)[0] is not None:
            read = text.str.to_datetime(form, time_unit="us", strict=False)
            found = read if form.endswith("Z") else _at_home(read, rule.zone)
            break
    left = text.is_not_null() & found.is_null()
    if left.any():
        found = found.scatter(left.arg_true(), _of_any(text.filter(left), rule))
    return found


def _of_any(text: pl.Series, rule: TimeRule) -> pl.Series:
    import polars as pl

    value, digits = pl.col("text"), pl.col("text").str.contains(r"^\d{10}(\d{3}){0,3}$")
    offset = value.str.extract(OFFSET, 1)
    bare = value.str.replace(OFFSET, "").str.replace("T", " ", literal=True)
    spellings = [bare.str.to_datetime(form, time_unit="us", strict=False) for form in FORMATS]
    if rule.order:
        slashed = bare.str.replace_all(r"[.-]", "/").str.to_uppercase()
        forms = [ORDERS[rule.order] + clock for clock in CLOCKS]
        spellings += [slashed.str.to_datetime(form, time_unit="us", strict=False) for form in forms]
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    hours = offset.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = offset.str.slice(-2).cast(pl.Int64, strict=False)
    read = (
        text.alias("text")
        .to_frame()
        .select(
            pl.coalesce(spellings).alias("local"),
            offset.is_not_null().alias("has_offset"),
            pl.duration(minutes=(sign * (hours * 60 + minutes)).fill_null(0)).alias("shift"),
            pl.when(digits).then(value).cast(pl.Int64, strict=False).alias("number"),
            (pl.when(value.str.contains(r"^\d{10}\.\d{1,9}$")).then(value).cast(pl.Float64) * 1e6)
            .round()
            .alias("seconds"),
        )
    )
    return (
        read.with_columns(_at_home(read["local"], rule.zone).alias("home"), _since_1970(read["number"]).alias("at"))
        .select(
            pl.coalesce(
                "at",
                pl.col("seconds").cast(pl.Int64).cast(pl.Datetime("us")),
                pl.when("has_offset").then(pl.col("local") - pl.col("shift")).otherwise("home"),
            )
        )
        .to_series()
    )


def _since_1970(number: pl.Series) -> pl.Series:
    """By their length: ten digits are seconds, 13 milli-, 16 micro-, 19 nanoseconds."""
    import polars as pl

    value = pl.col("number")
    scaled = (
        pl.when(value.is_between(10**9, 10**10 - 1))
        .then(value * 10**6)
        .when(value.is_between(10**12, 10**13 - 1))
        .then(value * 10**3)
        .when(value.is_between(10**15, 10**16 - 1))
        .then(value)
        .when(value >= 10**18)
        .then(value // 10**3)
    )
    return number.alias("number").to_frame().select(scaled.cast(pl.Datetime("us"))).to_series()


def _at_home(local: pl.Series, zone: str) -> pl.Series:
    if zone != "UTC":
        local = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        local = local.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return local


def _checked(found: pl.Series) -> pl.Series:
    import polars as pl

    found = found.cast(pl.Datetime("us"))
    return found.set(found < EARLIEST, None)
