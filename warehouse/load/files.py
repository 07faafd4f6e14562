"""Delivered files as pieces of rows: CSV, JSON lines (both also .gz) and Parquet, a piece at a time in memory.

Text formats give text columns. Parquet keeps its types: a value that was written as a time or a number is not
written as text first. A line that is no row is kept with its number; a file that breaks off is refused whole.

What a call names (a file, a folder, a pattern) as files, with the columns that stand in their paths.

A folder is read with all below it, hidden files and those that begin with `_` left aside; `day=2026-01-01/` in a
path is a column `day`, as Hive, Spark and Athena write it.
"""

from __future__ import annotations

import csv
import gc
import glob
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

from recommender.contracts.fields import problem

from warehouse.load.csv_json import csv_pieces, ga4_piece, json_pieces
from warehouse.load.events import GA4_COLUMNS, as_text_columns, is_wanted
from warehouse.load.text import NUMBER, ROWS_AT_ONCE, Piece, open_text
from warehouse.load.values import text_of

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
    """Turn any reader's error about a file that belies its name into one sentence of ours."""
    import polars as pl
    import pyarrow as pa

    try:
        yield
    except (csv.Error, UnicodeError, RecursionError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        said = " ".join(str(error).split())[:200]
        raise problem(f"/{path.name}", f"not readable as {path.suffix}: {said}", "a text file, by its name") from error


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


NULL: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Found:
    """A file, the name it goes by in rejects and logs, its columns in the path; one of many may be without rows."""

    path: Path
    name: str
    partition: dict[str, str]
    is_one_of_many: bool = False


def find(argument: str) -> list[Found]:
    """The files of one argument in the order of their names. Raises InvalidInput where there is none."""
    path = Path(argument)
    if path.is_dir():
        return _below(path)
    if path.exists() or not glob.has_magic(argument):
        return [Found(path, path.name, _partition(path))]
    matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207
    found = [file for match in matches for file in (_below(match) if match.is_dir() else _one(match))]
    if not found:
        raise problem(f"/{argument}", "no file", "a pattern that files match")
    return found


def _below(folder: Path) -> list[Found]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and kind_of(path) is not None)
    shown = [path for path in paths if not any(part[0] in "._" for part in path.relative_to(folder).parts)]
    if not shown:
        raise problem(f"/{folder.name}", "a folder without files", "CSV, JSON lines or Parquet in it")
    return [Found(path, str(path.relative_to(folder)), _partition(path), is_one_of_many=True) for path in shown]


def _one(path: Path) -> list[Found]:
    return [Found(path, path.name, _partition(path), is_one_of_many=True)] if kind_of(path) else []


def _partition(path: Path) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in path.parent.parts if "=" in part]
    return {name: unquote(value) for name, value in pairs if name.isidentifier() and value != NULL}
