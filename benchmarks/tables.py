"""Reads the files that benchmarks are given: Parquet, CSV or JSON lines, with the columns that a benchmark needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl
from recommender.contracts.fields import problem
from recommender.errors import NotFound

READERS: Final[Mapping[str, Callable[[Path], pl.DataFrame]]] = {
    ".parquet": pl.read_parquet,
    ".csv": lambda path: pl.read_csv(path, infer_schema_length=None),
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
}


def read_table(path: Path, columns: Sequence[str] = ()) -> pl.DataFrame:
    """The rows of a file. Raises NotFound or InvalidInput naming the file, the value and what was expected."""
    expected = f"a file of {', '.join(READERS)}" + (f" with the columns {', '.join(columns)}" if columns else "")
    if not path.is_file():
        raise NotFound(f"{path} does not exist; expected {expected}")
    if path.suffix not in READERS:
        raise problem(str(path), path.suffix, expected)
    try:
        frame = READERS[path.suffix](path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise problem(str(path), "unreadable", f"{expected}: {error}") from error
    if missing := [column for column in columns if column not in frame.columns]:
        raise problem(f"{path}/{missing[0]}", "missing", expected)
    return frame
