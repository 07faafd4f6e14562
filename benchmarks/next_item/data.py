"""Sessions from Parquet as rows and questions, the baselines of the next-item benchmark, and the scores of answers.

Ids of any kind of integer become rows 0..I-1. The catalogue is the items of train: an item that only test contains is
skipped in prefixes, is never a target, and is counted, so that nobody mistakes the figures for cold-start ones. Besides
the strata of questions, `without_repeats` has targets that the visit lacks and lists without the visit's items (a
placement with allow_repeats off), and `events_0` has the first item as its target. Letters: S sessions, N questions, I
items, K length of a list, L length of a visit.

Decisions: docs/decisions/benchmarks.md (037).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.contracts.fields import problem
from recommender.domain.models.arrays import Doubles, Flags, Floats, Rows
from recommender.domain.models.prior import build_prior, decay

from benchmarks.scores import Scores
from benchmarks.tables import read_table
from training_jobs.baselines import strongest_of_rows
from training_jobs.counting.catalogue import build_neighbours
from training_jobs.metrics import breadth
from training_jobs.next_item.encoder_training import Sequences
from training_jobs.next_item.prefixes import LISTED, Answers, Prefixes, all_prefixes, collect, next_item_metrics

SPAN_DAYS = 150.0  # the files have order but no time: train is spread evenly over so many days
AT_ONCE = 2000  # questions
RECENT_HALF_LIFE_DAYS = 7.0


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
    frame = read_table(path, ("items",))
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


def popular(data: NextItemData, prefixes: Prefixes) -> Answers:
    """The same list for everybody: most clicked in train."""
    counts = np.bincount(data.train.items, minlength=data.count_items)
    return _same_list(counts, len(prefixes))


def popular_recent(data: NextItemData, prefixes: Prefixes) -> Answers:
    """The same list for everybody: the prior's popularity x recency."""
    ages = data.days[-1] - np.repeat(data.days, np.diff(data.train.offsets))
    faded = np.bincount(data.train.items, decay(ages, half_life_days=RECENT_HALF_LIFE_DAYS), minlength=data.count_items)
    prior = build_prior(faded.astype(np.float64))
    return _same_list(np.exp(prior.log_share.astype(np.float64)), len(prefixes))


def item_knn(data: NextItemData, prefixes: Prefixes) -> Answers:
    """Neighbours of the last item over sessions, by the builder of the co-purchase lists."""
    sessions = np.repeat(np.arange(len(data.train)), np.diff(data.train.offsets))
    found = build_neighbours(data.train.items, sessions, count_items=data.count_items, partners=LISTED)
    return _after_last(prefixes, found.rows, found.scores)


def markov(data: NextItemData, prefixes: Prefixes) -> Answers:
    """The items that followed the last item in train, by how often."""
    items, starts = data.train.items, data.train.offsets[1:-1]
    is_first = np.zeros(len(items), bool)
    is_first[starts[starts < len(items)]] = True
    before, after = items[:-1][~is_first[1:]], items[1:][~is_first[1:]]
    shape = (data.count_items, data.count_items)
    counts = sp.csr_matrix((np.ones(len(before), np.float32), (before, after)), shape=shape)
    strongest = strongest_of_rows(counts, LISTED)
    lists = []
    for start, stop in pairwise(strongest.indptr):
        order = np.argsort(-strongest.data[start:stop], kind="stable")
        lists.append((strongest.indices[start:stop][order], strongest.data[start:stop][order]))
    found = collect(lists)
    return _after_last(prefixes, found.rows, found.scores)


def session_popular(data: NextItemData, prefixes: Prefixes) -> Answers:
    """The visit's items by clicks, the newest first of equals, and popularity behind them (S-POP)."""
    filler = popular(data, prefixes.take(np.arange(1))).rows[0]
    lists = []
    for number in range(len(prefixes)):
        newest_first = prefixes.visit(number)[::-1]
        items, since, counts = np.unique(newest_first[newest_first >= 0], return_index=True, return_counts=True)
        own = items[np.lexsort((since, -counts))]
        rows = np.concatenate([own, filler[~np.isin(filler, own)]])[:LISTED]
        lists.append((rows, np.arange(len(rows), 0.0, -1.0)))
    return collect(lists)


def _same_list(worth: NDArray[np.number], count: int) -> Answers:
    best = np.lexsort((np.arange(len(worth)), -worth))[:LISTED]
    rows, scores = best.astype(np.int32), worth[best].astype(np.float32)
    return Answers(np.tile(rows, (count, 1)), np.tile(scores, (count, 1)))


def _after_last(prefixes: Prefixes, rows: Rows, scores: Floats) -> Answers:
    """The list of each prefix's last known item; empty where none is known."""
    newest = prefixes.newest(int(prefixes.lengths.max(initial=1)))  # (N, L)
    known = newest >= 0
    last = newest.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    item = newest[np.arange(len(newest)), last]  # (N,) -1 where nothing is known
    is_known = item[:, None] >= 0
    return Answers(np.where(is_known, rows[item], -1), np.where(is_known, scores[item], 0.0).astype(np.float32))


def strata_of(prefixes: Prefixes) -> dict[str, Flags]:
    """Stratum -> (N,) whether each question belongs to it, for strata that have any."""
    lengths = prefixes.lengths
    strata = {
        "all": np.ones(len(prefixes), bool),
        **{f"events_{count}": lengths == count for count in (1, 2, 3)},
        "events_4plus": lengths >= 4,
        "no_repeats": ~prefixes.repeats(),
    }
    return {stratum: chosen for stratum, chosen in strata.items() if chosen.any()}


def score(answers: Answers, prefixes: Prefixes, strata: dict[str, Flags], popularity: Doubles) -> Scores:
    """The metrics of the answers by stratum (N,); `popularity` (I,) in train."""
    found = next_item_metrics(answers, prefixes.targets)
    values = {stratum: {metric: each[chosen] for metric, each in found.items()} for stratum, chosen in strata.items()}
    groups = {stratum: prefixes.starts[chosen] for stratum, chosen in strata.items()}
    fresh = strata.get("no_repeats")
    if fresh is not None:
        asked = np.flatnonzero(fresh)
        cut = without_visited(answers.take(asked), prefixes.take(asked))
        values["without_repeats"] = next_item_metrics(cut, prefixes.targets[asked])
        groups["without_repeats"] = prefixes.starts[asked]
    return Scores(values, groups, {"all": breadth(list(answers.rows), popularity)})


def score_openings(answers: Answers, openings: Prefixes) -> Scores:
    """The answers before the first event."""
    return Scores({"events_0": next_item_metrics(answers, openings.targets)}, {"events_0": openings.starts})


def without_visited(answers: Answers, prefixes: Prefixes) -> Answers:
    """The lists without the items of their visits, closed up."""
    longest = int(prefixes.lengths.max(initial=1))
    rows, scores = np.full_like(answers.rows, -1), np.zeros_like(answers.scores)
    for start in range(0, len(prefixes), AT_ONCE):
        part = np.arange(start, min(start + AT_ONCE, len(prefixes)))
        visited = prefixes.take(part).newest(longest)  # (n, L)
        listed = answers.rows[part]  # (n, K)
        is_kept = (listed >= 0) & ~(listed[:, :, None] == visited[:, None, :]).any(axis=2)
        line, place = np.nonzero(is_kept)
        target = np.cumsum(is_kept, axis=1)[line, place] - 1
        rows[part[line], target] = listed[line, place]
        scores[part[line], target] = answers.scores[part][line, place]
    return Answers(rows, scores)
