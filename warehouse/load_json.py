"""JSON lines as pieces of text columns, and lines that are no JSON object, each with its number.

polars reads a piece at once; a piece with a line that it refuses is read line by line.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.contracts.fields import problem

from warehouse.load_ga4 import GA4_COLUMNS, UNWANTED, flat, is_wanted, shaped, text_schema
from warehouse.load_pieces import NUMBER, Piece, Reject
from warehouse.load_text import Utf8
from warehouse.load_values import json_text

if TYPE_CHECKING:
    import polars as pl


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
