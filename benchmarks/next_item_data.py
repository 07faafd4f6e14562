"""Sessions from Parquet as rows and questions: ids of any kind of integer, in any range, become rows 0..I-1.

The catalogue is what train contains. An item that only test contains cannot be recommended: it is passed over in
prefixes, is not asked for, and is counted, so that nobody mistakes the figures for cold-start ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from recommender.contracts.fields import problem
from recommender.domain.arrays import Doubles

from training_jobs.session_ranker.encoder_training import Sequences
from training_jobs.session_ranker.prefixes import Prefixes, all_prefixes

SPAN_DAYS = 150.0  # the files have order but no time: train is spread evenly over so many days


@dataclass(frozen=True, slots=True)
class NextItemData:
    """Train sequences in order of time, and the test questions."""

    train: Sequences
    days: Doubles  # (S,)
    count_items: int
    test: Prefixes
    openings: Prefixes  # the first item of each test session, with nothing before it
    facts: dict[str, int]  # counts to be printed


def load(folder: Path, *, min_prefix: int) -> NextItemData:
    """Read train_sessions.parquet and test_sessions.parquet. Raises InvalidInput naming file and column."""
    train, test = _read(folder / "train_sessions.parquet"), _read(folder / "test_sessions.parquet")
    catalogue = train["items"].explode().drop_nulls().unique().sort()  # (I,)
    if not len(catalogue):
        raise problem("train_sessions.parquet", "no items", "at least one session with an item")
    offsets, items = _flat(train, catalogue)
    test_offsets, test_items = _flat(test, catalogue)
    prefixes = all_prefixes(test_offsets, test_items, least=min_prefix)
    if not len(prefixes):
        found = f"no prefix of {min_prefix} events whose next item train knows"
        raise problem("test_sessions.parquet", found, "at least one question")
    positions = np.arange(len(test_items)) - np.repeat(test_offsets[:-1], np.diff(test_offsets))
    return NextItemData(
        train=Sequences(offsets, items),
        days=(np.arange(1, train.height + 1) / train.height * SPAN_DAYS).astype(np.float64),
        count_items=len(catalogue),
        test=prefixes,
        openings=_openings(test_offsets, test_items),
        facts={
            "train_sessions": train.height,
            "train_events": len(items),
            "test_sessions": test.height,
            "test_events": len(test_items),
            "items": len(catalogue),
            "predictions": len(prefixes),
            "targets_left_out_as_unknown": int(((positions >= min_prefix) & (test_items < 0)).sum()),
        },
    )


def _openings(offsets: np.ndarray, items: np.ndarray) -> Prefixes:
    asked = all_prefixes(offsets, items, least=0)
    return asked.take(np.flatnonzero(asked.lengths == 0))


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise problem(str(path), "missing", "a Parquet file with the columns session and items")
    frame = pl.read_parquet(path)
    kind = frame.schema.get("items")
    inner = kind.inner if isinstance(kind, pl.List | pl.Array) else None
    if inner is None or not (inner.is_integer() or inner == pl.Null):
        raise problem(f"{path}/items", str(kind), "a column of lists of integers")
    return frame.select(pl.col("items").cast(pl.List(pl.Int64)).list.drop_nulls())


def _flat(frame: pl.DataFrame, catalogue: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (S + 1,) and item rows, -1 where the catalogue lacks the item."""
    sizes = frame["items"].list.len().to_numpy()
    ids = frame["items"].explode(empty_as_null=False).to_numpy().astype(np.int64)
    known = catalogue.to_numpy()
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    rows = np.where(known[place] == ids, place, -1).astype(np.int32)
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), rows
