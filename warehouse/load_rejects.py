"""The refused rows of a file as a CSV file to be corrected by hand and loaded again.

It has the delivered columns, so the same mapping fits, and before them the row number and the reason, which the
loader leaves aside. A row with too many or too few columns stays so: it is refused again until it is corrected.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from warehouse.load_pieces import Reject


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
