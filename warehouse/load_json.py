"""JSON lines as pieces of text columns, and lines that are no JSON object, each with its number.

polars reads a piece at once; a piece with a line that it refuses is read line by line.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.contracts.fields import problem

from warehouse.load_ga4 import GA4_COLUMNS, flat
from warehouse.load_pieces import NUMBER, Piece, Reject
from warehouse.load_text import Utf8

if TYPE_CHECKING:
    pass


def json_pieces(path: Path, text: Utf8, rows: int) -> Iterator[Piece]:
    """The lines in pieces of `rows`. Raises InvalidInput for a file that is one JSON array."""
    if text.peek(1 << 12).lstrip().startswith(b"["):
        raise problem(f"/{path.name}", "one JSON array", "JSON lines: an object a line (jq -c '.[]' makes them)")
    first = 1
    for lines in text.lines(rows):
        yield _read_at_once(lines, first) or _read_line_by_line(lines, first)
        first += len(lines)


def of_records(numbered: list[tuple[int, dict[str, Any]]], rejects: list[Reject]) -> Piece:
    """Objects as text columns; rows of the GA4 export as events."""
    import polars as pl

    ignored = 0
    if any(record.keys() >= GA4_COLUMNS for _, record in numbered):
        numbered, refused, ignored = _flattened(numbered)
        rejects = rejects + refused
    names = list(dict.fromkeys(name for _, record in numbered for name in record))
    columns = [pl.Series(name, [as_text(record.get(name)) for _, record in numbered], pl.String) for name in names]
    frame = pl.DataFrame([pl.Series(NUMBER, [number for number, _ in numbered], pl.Int64), *columns])
    return Piece(frame, tuple(rejects), ignored)


def as_text(value: Any) -> str | None:
    """A JSON value as text: strings as they are, whole numbers without `.0`, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, default=str, ensure_ascii=False)


def _read_at_once(lines: list[bytes], first: int) -> Piece | None:
    """The lines as one table of text; None where a line is not an object or the rows are of the GA4 export."""
    import polars as pl

    if not all(map(bytes.strip, lines)):
        return None
    text = b"".join(lines)
    try:
        names = pl.scan_ndjson(io.BytesIO(text), infer_schema_length=None).collect_schema().names()
        if set(names) >= GA4_COLUMNS or NUMBER in names:
            return None
        frame = pl.read_ndjson(io.BytesIO(text), schema=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError:
        return None
    return Piece(frame.with_row_index(NUMBER, offset=first)) if frame.height == len(lines) else None


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
    return of_records(records, rejects)


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
