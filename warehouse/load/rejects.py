"""The refused rows of a file as a CSV file to be corrected by hand and loaded again.

It has the delivered columns, so the same mapping fits, and before them the row number and the reason, which the
loader leaves aside. A row with too many or too few columns stays so: it is refused again until it is corrected.

The warehouse keeps a refused row without personal data; the CSV file has the row as it was.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from warehouse.load.identities import without_persons
from warehouse.load.text import Reject

LONGEST_CONTENT: Final = 16_384
LONGEST_REASON: Final = 1024


def keep_rejects(rejects: Sequence[Reject], path: Path, *, columns: Sequence[str], kept: Iterable[str]) -> None:
    """Write rows for raw.rejects to `path`, without persons, and as they were beside it, for `read_rejects`.

    `columns` are the file's; `kept` are those without personal data whatever their names.
    """
    import polars as pl

    names = (*kept,)
    numbers = [reject.row_number for reject in rejects]
    reasons = [reject.reason[:LONGEST_REASON] for reject in rejects]
    contents = [without_persons(reject.content, kept=names, columns=columns) for reject in rejects]
    shown = [content[:LONGEST_CONTENT] for content in contents]
    pl.DataFrame({"row_number": numbers, "reason": reasons, "content": shown}).write_parquet(path)
    whole = [reject.content for reject in rejects]
    pl.DataFrame({"row_number": numbers, "reason": reasons, "content": whole}).write_parquet(_whole(path))


def read_rejects(paths: Iterable[Path]) -> Iterator[Reject]:
    """The rows as they were delivered, a file at a time."""
    import polars as pl

    for path in paths:
        for row_number, reason, content in pl.read_parquet(_whole(path)).iter_rows():
            yield Reject(row_number, reason, content)


def _whole(path: Path) -> Path:
    return path.with_name(f"whole-{path.name}")


def write_rejects(rejects: Iterable[Reject], columns: Sequence[str], path: Path) -> int:
    """Write the rows; returns their number. `columns` are those of the delivered file."""
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["rejected_row", "rejected_reason", *columns])
        for reject in rejects:
            out.writerow([reject.row_number, reject.reason, *_cells(reject.content, columns)])
            count += 1
    return count


def _cells(content: str, columns: Sequence[str]) -> list[str]:
    try:
        row = json.loads(content)
    except ValueError:
        row = None
    if isinstance(row, dict):
        return [_cell(row.get(name)) for name in columns]
    delimiter = max(",;\t|", key=content.count)
    return next(csv.reader([content.replace("\n", " ")], delimiter=delimiter), [])


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
