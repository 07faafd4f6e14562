"""Delivered files as pieces of rows: CSV, JSON lines (both also .gz) and Parquet, a piece at a time in memory.

Text formats give text columns. Parquet keeps its types: a value that was written as a time or a number is not
written as text first. A line that is no row is kept with its number; a file that breaks off is refused whole.
"""

from __future__ import annotations

import csv
import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from recommender.contracts.fields import problem

from warehouse.load_csv import csv_pieces
from warehouse.load_ga4 import GA4_COLUMNS, as_text_columns, is_wanted
from warehouse.load_json import ga4_piece, json_pieces
from warehouse.load_pieces import NUMBER, ROWS_AT_ONCE, Piece
from warehouse.load_text import open_text
from warehouse.load_values import text_of

if TYPE_CHECKING:
    import polars as pl

KINDS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}


def kind_of(path: Path) -> str | None:
    """`csv`, `json` or `parquet` by the file's name; None for any other."""
    kind = KINDS.get(Path(path.stem).suffix if path.suffix == ".gz" else path.suffix)
    return None if kind == "parquet" and path.suffix == ".gz" else kind


def read_pieces(path: Path, *, rows: int = ROWS_AT_ONCE, encoding: str = "utf-8") -> Iterator[Piece]:
    """The file in pieces of at most `rows` rows, none where it is empty. Raises InvalidInput where it breaks off."""
    kind = kind_of(path)
    if kind is None:
        raise problem(f"/{path.name}", path.suffix, f"one of {', '.join(KINDS)}, the text ones also with .gz")
    if not path.is_file():
        raise problem(f"/{path.name}", "no such file", "a file")
    if path.stat().st_size == 0:
        return
    if kind == "parquet":
        yield from _without_cycles(_parquet(path, rows))
        return
    with _guarded(path), open_text(path, encoding) as text:
        yield from _without_cycles((csv_pieces if kind == "csv" else json_pieces)(path, text, rows))


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Whatever a reader says of a text file that is not what its name says, in one sentence of ours."""
    import polars as pl
    import pyarrow as pa

    try:
        yield
    except (csv.Error, UnicodeError, RecursionError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        said = " ".join(str(error).split())[:200]
        raise problem(
            f"/{path.name}", f"not readable as {path.suffix}: {said}", "a text file, as its name says"
        ) from error


def content_hash(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_cycles(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pieces made without the search for cycles, which takes two thirds of the time and finds none."""
    was_enabled = gc.isenabled()
    while True:
        gc.disable()
        try:
            piece = next(pieces, None)
        finally:
            if was_enabled:
                gc.enable()
        if piece is None:
            return
        yield piece


def _parquet(path: Path, rows: int) -> Iterator[Piece]:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise problem(f"/{path.name}", "a column name twice", "one name a column")
            first = 1
            for batch in file.iter_batches(batch_size=rows):
                frame = cast("pl.DataFrame", pl.from_arrow(pa.Table.from_batches([batch])))
                if set(names) >= GA4_COLUMNS:
                    wanted = is_wanted(text_of(frame["event_name"]))
                    numbers = pl.int_range(first, first + frame.height, eager=True)
                    piece = ga4_piece(numbers.filter(wanted), as_text_columns(frame.filter(wanted)))
                    yield Piece(piece.frame, ignored=piece.ignored + frame.height - piece.frame.height)
                else:
                    yield Piece(frame.drop(NUMBER, strict=False).with_row_index(NUMBER, offset=first))
                first += batch.num_rows
    except pl.exceptions.PolarsError as error:
        raise problem(f"/{path.name}", f"columns of other types: {error}"[:300], "the GA4 export as it is") from error
    except (pa.ArrowException, OSError) as error:
        raise problem(f"/{path.name}", f"not a whole Parquet file: {error}", "a Parquet file") from error
