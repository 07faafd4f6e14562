"""CSV as pieces of text columns: quotes, line ends and separators as spreadsheets write them.

pyarrow reads block by block, so memory holds a piece however long the file is. A row with another number of
columns than the head is a reject; a row in which nothing stands is none.

JSON lines as pieces of text columns, and lines that are no JSON object, each with its number.

polars reads a piece at once; a piece with a line that it refuses is read line by line.

Decisions: docs/decisions/load.md (187).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from recommender.contracts.fields import problem

from warehouse.load.events import GA4_COLUMNS, UNWANTED, flat, is_wanted, shaped, text_schema
from warehouse.load.text import NUMBER, Piece, Reject, Utf8
from warehouse.load.values import json_text

if TYPE_CHECKING:
    import polars as pl


LONGEST_ROW: Final = 8 << 20  # bytes
LONGEST_HEAD: Final = 1 << 16
SEPARATOR: Final = re.compile(rb'"?sep=([,;\t|])"?[\r\n]', re.IGNORECASE)


def csv_pieces(path: Path, text: Utf8, rows: int) -> Iterator[Piece]:
    """The rows below the head in pieces of `rows`. Raises InvalidInput where head or quotes are broken."""
    import polars as pl
    import pyarrow as pa

    names, delimiter = _head(path, text, _stated_separator(text))
    refused: deque[tuple[int, int, str]] = deque()  # number, columns, text; in the order of the file
    waiting = pl.DataFrame(schema={NUMBER: pl.Int64, **dict.fromkeys(names, pl.String)})
    number, last = 1, (0, "")
    try:
        for batch in _batches(text, names, delimiter, refused):
            frame = cast("pl.DataFrame", pl.from_arrow(pa.Table.from_batches([batch])))
            numbers, rejects, number = _numbered(frame.height, number, refused, len(names))
            frame = frame.insert_column(0, numbers).filter(pl.col(NUMBER) > 1)
            last = (frame[-1, 0], frame[-1, -1]) if frame.height else last
            waiting = pl.concat([waiting, frame.filter(pl.any_horizontal(pl.col(names) != ""))])
            if rejects or waiting.height >= rows:
                whole = waiting.height - waiting.height % rows
                for start in range(0, whole, rows):
                    yield Piece(waiting[start : start + rows])
                waiting = waiting[whole:]
                if rejects:
                    yield Piece(waiting.clear(), rejects)
    except pa.ArrowInvalid as error:
        expected = f"rows of at most {LONGEST_ROW >> 20} MB, every quote closed"
        raise problem(f"/{path.name}", f"a row that does not end ({error})"[:300], expected) from error
    _check_end(path, text, last, refused)
    yield Piece(waiting, _rejects(refused, len(names)))


def _stated_separator(text: Utf8) -> str:
    """The separator that a first line `sep=;` states, as Excel writes and reads it; the line is taken away."""
    found = SEPARATOR.match(text.peek(1 << 6))
    if found is None:
        return ""
    text.take_line()
    return found[1].decode()


def _head(path: Path, text: Utf8, stated: str) -> tuple[list[str], str]:
    """Column names and the separator that the head has most of; a column without a name is called by its place."""
    start = text.peek(LONGEST_HEAD).decode(errors="replace")
    if text.has_old_ends:
        start = start.replace("\r", "\n")
    first = start.splitlines()[0] if start.strip() else ""
    delimiter = stated or max(",;\t|", key=first.count)
    names = [
        name.strip(" \t\u00a0\u200b\ufeff")
        for name in next(csv.reader(io.StringIO(start, newline=None), delimiter=delimiter), [])
    ]
    if not any(names):
        raise problem(f"/{path.name}", "a file without a head", "column names in its first line")
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise problem(f"/{path.name}", f"more than one column {', '.join(twice)}", "one name a column")
    return [name or f"#{place}" for place, name in enumerate(names, start=1)], delimiter


def _batches(text: Utf8, names: list[str], delimiter: str, refused: deque[tuple[int, int, str]]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.csv as pc

    def refuse(row: Any) -> str:
        refused.append((row.number, row.actual_columns, row.text))
        return "skip"

    yield from pc.open_csv(
        pa.PythonFile(text, mode="r"),
        read_options=pc.ReadOptions(use_threads=False, block_size=LONGEST_ROW, column_names=names),
        parse_options=pc.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=refuse
        ),
        convert_options=pc.ConvertOptions(
            check_utf8=False, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _numbered(
    count: int, number: int, refused: deque[tuple[int, int, str]], columns: int
) -> tuple[pl.Series, tuple[Reject, ...], int]:
    """Row numbers of the next `count` good rows from `number` on, the refused rows passed over, and what follows."""
    import polars as pl

    runs: list[pl.Series] = [pl.Series(dtype=pl.Int64)]
    passed: deque[tuple[int, int, str]] = deque()
    while count:
        run = min(count, refused[0][0] - number) if refused else count
        runs.append(pl.int_range(number, number + run, eager=True))
        number, count = number + run, count - run
        if count and refused:
            passed.append(refused.popleft())
            number += 1
    return pl.concat(runs).alias(NUMBER), _rejects(passed, columns), number


def _rejects(refused: deque[tuple[int, int, str]], columns: int) -> tuple[Reject, ...]:
    return tuple(
        Reject(number, f"{have} columns, the head has {columns}", text)
        for number, have, text in refused
        if text.strip()
    )


def _check_end(path: Path, text: Utf8, last: tuple[int, str], refused: deque[tuple[int, int, str]]) -> None:
    """A quote that is opened and never closed takes in all rows to the end: the file is refused, not one row."""
    number, ended, is_open = *last, not text.tail.rstrip(b"\r\n").endswith(b'"')
    if refused:
        number, _, ended = refused[-1]
        is_open = ended.count('"') % 2 == 1
    if is_open and "\n" in ended.rstrip("\r\n"):
        raise problem(f"/{path.name}", f"a quote in row {number} that is never closed", "every quote closed")


def json_pieces(path: Path, text: Utf8, rows: int) -> Iterator[Piece]:
    """The lines in pieces of `rows`. Raises InvalidInput for a file that is one JSON array."""
    if text.peek(1 << 12).lstrip().startswith(b"["):
        raise problem(f"/{path.name}", "one JSON array", "JSON lines: an object a line (jq -c '.[]' makes them)")
    first = 1
    for lines in text.lines(rows):
        yield _read_at_once(lines, first) or _read_line_by_line(lines, first)
        first += len(lines)


def ga4_piece(numbers: pl.Series, frame: pl.DataFrame, rejects: Sequence[Reject] = ()) -> Piece:
    """Rows of the GA4 export, every value as text, as events of ours."""
    wanted = is_wanted(frame["event_name"])
    events = flat(frame.filter(wanted)).insert_column(0, numbers.filter(wanted).alias(NUMBER))
    return Piece(events, tuple(rejects), ignored=frame.height - events.height)


def _of_records(numbered: list[tuple[int, dict[str, Any]]], rejects: list[Reject]) -> Piece:
    """Objects as text columns; rows of the GA4 export as events."""
    import polars as pl

    if any(record.keys() >= GA4_COLUMNS for _, record in numbered):
        return _of_ga4_records(numbered, rejects)
    names = list(dict.fromkeys(name for _, record in numbered for name in record))
    columns = [pl.Series(name, [json_text(record.get(name)) for _, record in numbered], pl.String) for name in names]
    frame = pl.DataFrame([pl.Series(NUMBER, [number for number, _ in numbered], pl.Int64), *columns])
    return Piece(frame, tuple(rejects))


def _of_ga4_records(numbered: list[tuple[int, dict[str, Any]]], rejects: list[Reject]) -> Piece:
    import polars as pl

    rows = []
    for number, record in numbered:
        try:
            rows.append({NUMBER: number, **shaped(record)})
        except (TypeError, AttributeError, KeyError):
            content = json.dumps(record, default=str, ensure_ascii=False)
            rejects.append(Reject(number, "not a row of the GA4 export", content))
    frame = pl.DataFrame(rows, schema={NUMBER: pl.Int64, **text_schema()})
    return ga4_piece(frame[NUMBER], frame.drop(NUMBER), rejects)


def _read_at_once(lines: list[bytes], first: int) -> Piece | None:
    """The lines as one table of text; None where a line is not an object or the rows are of the GA4 export."""
    import polars as pl

    if not all(map(bytes.strip, lines)):
        return None
    text = b"".join(lines)
    try:
        if _is_ga4(lines[0]):
            return _ga4_at_once(lines, first)
        names = pl.scan_ndjson(io.BytesIO(text), infer_schema_length=None).collect_schema().names()
        if set(names) >= GA4_COLUMNS or NUMBER in names:
            return None
        frame = pl.read_ndjson(io.BytesIO(text), schema=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError:
        return None
    return Piece(frame.with_row_index(NUMBER, offset=first)) if frame.height == len(lines) else None


def _ga4_at_once(lines: list[bytes], first: int) -> Piece | None:
    import polars as pl

    kept = [(number, line) for number, line in enumerate(lines, start=first) if not UNWANTED.search(line)]
    ignored = len(lines) - len(kept)
    text = b"".join(line for _, line in kept)
    frame = pl.read_ndjson(io.BytesIO(text), schema=text_schema()) if kept else pl.DataFrame(schema=text_schema())
    if frame.height != len(kept):
        return None
    piece = ga4_piece(pl.Series([number for number, _ in kept], dtype=pl.Int64), frame)
    return Piece(piece.frame, ignored=piece.ignored + ignored)


def _is_ga4(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and record.keys() >= GA4_COLUMNS


def _read_line_by_line(lines: list[bytes], first: int) -> Piece:
    records: list[tuple[int, dict[str, Any]]] = []
    rejects = []
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            record.pop(NUMBER, None)
            records.append((number, record))
        else:
            rejects.append(Reject(number, "not a JSON object", line.decode().rstrip("\r\n")))
    return _of_records(records, rejects)
