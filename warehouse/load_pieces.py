"""What a delivered file is read into: pieces of rows, and rows that could not be taken.

A row's number is the one a person sees: that of a spreadsheet in a CSV file (the head is row 1), the line in JSON
lines, counted from 1 in Parquet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

ROWS_AT_ONCE: Final = 250_000
NUMBER: Final = "row_number"


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be taken. The reason names no value, so it can be printed; the content stays inside."""

    row_number: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a file as text or typed columns with their row_number, lines that are no rows, rows of no concern."""

    frame: pl.DataFrame
    rejects: tuple[Reject, ...] = ()
    ignored: int = 0
