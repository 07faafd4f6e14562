"""The parts of a page and how the numbers of a report read on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.figure import Figure

from local.experiment_report.plots import Estimate

Report = Mapping[str, Any]
POOLED: Final = "all placements"
LIFT: Final = ("lift_median", "lift_low", "lift_high")


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot, its file name and what it shows to those who cannot see it."""

    name: str
    alt: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, one paragraph, plots and a table; a long table is folded."""

    title: str
    meaning: str
    pictures: Sequence[Picture] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    is_folded: bool = False


def estimates_of(variants: Sequence[Mapping[str, Any]]) -> dict[int, Estimate]:
    """The lifts of the challengers by their place, as far as enough is known to show them."""
    return {k: estimate(row) for k, row in enumerate(variants) if k and row[LIFT[0]] is not None}


def estimate(row: Mapping[str, Any]) -> Estimate:
    """A lift with its interval."""
    return Estimate(*(row[name] for name in LIFT))


def lift_text(entry: Mapping[str, Any], *, name: str = "lift") -> str:
    """A lift as text; a dash where there is none."""
    values = [entry[f"{name}_{end}"] for end in ("median", "low", "high")]
    if values[0] is None:
        return "–"
    median, low, high = (100 * value for value in values)
    return f"{median:+.1f} % ({low:+.1f} to {high:+.1f})"


def share(value: float | None, digits: int = 0) -> str:
    """A share in per cent."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def count(value: int) -> str:
    """A whole number with separators."""
    return f"{value:,}"


def days_text(value: float | None) -> str:
    """A day with at most one decimal."""
    return "–" if value is None else f"{value:.1f}".removesuffix(".0")


def plain(value: Any) -> str:
    """A number with two decimals; a dash where there is none."""
    return f"{value:,.2f}" if isinstance(value, int | float) else "–"


def edges_of(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """When the first row of a history began, and when each ended."""
    return [rows[0]["from_day"], *(row["day"] for row in rows)]
