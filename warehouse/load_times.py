"""Times of any spelling as naive UTC; null where a value is no time or could be two.

A time carries its zone (Z, UTC, an offset), or is seconds, milliseconds, microseconds or nanoseconds since 1970,
or counts in the stated zone. `1/12/2010` is read only where the mapping says which of the two is the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

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
    """What the mapping states of times: the zone of those without one, the order of day and month, a format."""

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
