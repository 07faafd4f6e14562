"""Files as pieces of text columns: CSV, JSON lines (both also .gz) and Parquet, never more than a piece in memory.

Every value is text when it leaves here, whatever the file calls its type, so that one converter judges all of
them alike. A line that is no row is kept with its number; a file that breaks off is refused as a whole.
"""

from __future__ import annotations

import csv
import gc
import gzip
import hashlib
import itertools
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from recommender.contracts.fields import problem

from warehouse.load_ga4 import GA4_COLUMNS, flat

if TYPE_CHECKING:
    import polars as pl

ROWS_AT_ONCE: Final = 250_000
NUMBER: Final = "row_number"  # counted from 1, without the head of a CSV file
BROKEN: Final = "�"  # what a byte that is not of the encoding becomes
KINDS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be taken. The reason names no value, so it can be printed; the content stays inside."""

    row_number: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a file as text columns with their row_number, the lines that are no rows, and rows of no concern."""

    frame: pl.DataFrame
    rejects: tuple[Reject, ...] = ()
    ignored: int = 0


def read_pieces(path: Path, *, rows: int = ROWS_AT_ONCE, encoding: str = "utf-8") -> Iterator[Piece]:
    """The file in pieces of at most `rows` rows. Raises InvalidInput where it is empty, unreadable or breaks off."""
    kind = KINDS.get(Path(path.stem).suffix if path.suffix == ".gz" else path.suffix)
    if kind is None:
        raise problem(f"/{path.name}", path.suffix, f"one of {', '.join(KINDS)}, the text ones also with .gz")
    if not path.is_file():
        raise problem(f"/{path.name}", "no such file", "a file")
    if path.stat().st_size == 0:
        raise problem(f"/{path.name}", "an empty file", "rows")
    if kind == "parquet":
        yield from _parquet(path, rows)
        return
    with _open(path, encoding) as lines:
        pieces = _csv(path, lines, rows) if kind == "csv" else _json(lines, rows)
        try:
            while piece := _next(pieces):
                yield piece
        except (EOFError, zlib.error, gzip.BadGzipFile, csv.Error) as error:
            raise problem(f"/{path.name}", f"a file that breaks off: {error}", "a whole file") from error


def content_hash(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _next(pieces: Iterator[Piece]) -> Piece | None:
    """The next piece, made without the search for cycles, which takes two thirds of the time and finds none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return next(pieces, None)
    finally:
        if was_enabled:
            gc.enable()


def _open(path: Path, encoding: str) -> IO[str]:
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    opener = gzip.open if path.suffix == ".gz" else open
    return cast(IO[str], opener(path, "rt", encoding=encoding, errors="replace", newline=""))


def _csv(path: Path, lines: IO[str], rows: int) -> Iterator[Piece]:
    import polars as pl

    head = lines.readline()
    delimiter = max(",;\t|", key=head.count)
    names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
    if not names or "" in names or len(set(names)) < len(names):
        raise problem(f"/{path.name}", "a head with empty or doubled names", "one name a column")
    reader = enumerate(csv.reader(lines, delimiter=delimiter), start=1)
    while numbered := list(itertools.islice(reader, rows)):
        good = [(number, row) for number, row in numbered if len(row) == len(names)]
        rejects = tuple(
            Reject(number, f"not {len(names)} columns", delimiter.join(row))
            for number, row in numbered
            if row and len(row) != len(names)
        )
        columns = zip(*(row for _, row in good), strict=True) if good else ([] for _ in names)
        frame = pl.DataFrame(
            [
                pl.Series(NUMBER, [number for number, _ in good], pl.Int64),
                *(pl.Series(name, values, pl.String) for name, values in zip(names, columns, strict=True)),
            ]
        )
        yield Piece(frame, rejects)


def _json(lines: IO[str], rows: int) -> Iterator[Piece]:
    numbered = enumerate(lines, start=1)
    while part := list(itertools.islice(numbered, rows)):
        records, rejects = [], []
        for number, line in part:
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                records.append((number, record))
            else:
                rejects.append(Reject(number, "not a JSON object", line.rstrip("\r\n")))
        yield _of_records(records, rejects)


def _parquet(path: Path, rows: int) -> Iterator[Piece]:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if not file.metadata.num_rows:
                raise problem(f"/{path.name}", "a file without rows", "rows")
            is_ga4 = set(file.schema_arrow.names) >= GA4_COLUMNS
            first = 1
            for batch in file.iter_batches(batch_size=rows):
                if is_ga4:
                    yield _of_records(list(enumerate(batch.to_pylist(), start=first)), [])
                else:
                    frame = cast("pl.DataFrame", pl.from_arrow(pa.table(batch)))
                    yield Piece(_as_text(frame).with_row_index(NUMBER, offset=first))
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise problem(f"/{path.name}", f"not a whole Parquet file: {error}", "a Parquet file") from error


def _of_records(numbered: list[tuple[int, dict[str, Any]]], rejects: list[Reject]) -> Piece:
    import polars as pl

    ignored = 0
    if any(record.keys() >= GA4_COLUMNS for _, record in numbered):
        numbered, refused, ignored = _flattened(numbered)
        rejects = rejects + refused
    names = list(dict.fromkeys(name for _, record in numbered for name in record))
    columns = [pl.Series(name, [_text(record.get(name)) for _, record in numbered], pl.String) for name in names]
    frame = pl.DataFrame([pl.Series(NUMBER, [number for number, _ in numbered], pl.Int64), *columns])
    return Piece(frame, tuple(rejects), ignored)


def _flattened(
    numbered: list[tuple[int, dict[str, Any]]],
) -> tuple[list[tuple[int, dict[str, Any]]], list[Reject], int]:
    """Rows of the GA4 export as flat events, those that are none, and how many are no matter of a shop."""
    kept, refused = [], []
    for number, record in numbered:
        try:
            event = flat(record)
        except (TypeError, AttributeError, KeyError):
            refused.append(Reject(number, "not a row of the GA4 export", json.dumps(record, default=str)))
            continue
        if event is not None:
            kept.append((number, event))
    return kept, refused, len(numbered) - len(kept) - len(refused)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, default=str)


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Whole floats without `.0` (an id with gaps is one), times of a zone in UTC, nested values as JSON."""
    import polars as pl

    columns: list[pl.Expr | pl.Series] = []
    for name, kind in frame.schema.items():
        column = pl.col(name)
        if kind.is_float():
            whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
            columns.append(
                pl.when(whole)
                .then(column.cast(pl.Int64, strict=False).cast(pl.String))
                .otherwise(column.cast(pl.String))
            )
        elif isinstance(kind, pl.Datetime) and kind.time_zone:
            columns.append(column.dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ"))
        elif isinstance(kind, pl.Datetime):
            columns.append(column.dt.to_string("%Y-%m-%dT%H:%M:%S%.f"))
        elif kind.is_nested():
            columns.append(pl.Series(name, [_text(value) for value in frame[name].to_list()], pl.String))
        elif kind == pl.Binary:
            texts = [None if value is None else value.decode(errors="replace") for value in frame[name].to_list()]
            columns.append(pl.Series(name, texts, pl.String))
        else:
            columns.append(column.cast(pl.String))
    return frame.select(columns)
