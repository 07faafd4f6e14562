"""The data that a benchmark and the peers' environment exchange: train histories and questions in, ranked lists out.

Both sides of the process border read it, and the peers' environment has neither the product nor its packages, so it
needs numpy only and has a recall of its own. The wanted items of the test never leave the benchmark; a tail of train,
whose targets a peer may read, is a split of its own. Letters: S train histories, N questions, B of a batch, I items, K
length of a list.

Decisions: docs/decisions/benchmarks.md (110).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.integer]
AT_ONCE = 256
CUTOFF = 20
Scores = Callable[[NDArray[np.int64]], NDArray[np.float32]]  # numbers of questions (B,) -> (B, I); -inf: not listed
Lists = tuple[NDArray[np.int32], NDArray[np.float32]]  # rows (N, K), -1 behind a shorter list; scores (N, K)


@dataclass(frozen=True)
class Ragged:
    """Lists of item rows laid end to end: list n is items[offsets[n]:offsets[n + 1]]."""

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, number: int) -> NDArray[np.int32]:
        """(L,) one list."""
        return self.items[self.offsets[number] : self.offsets[number + 1]]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(N,) lengths."""
        return np.diff(self.offsets)

    def take(self, numbers: Iterable[int]) -> Ragged:
        """Some of the lists."""
        return ragged([self.of(number) for number in numbers])


def ragged(lists: Sequence[Rows]) -> Ragged:
    """Lists (L,) of any lengths, laid end to end."""
    sizes = np.array([len(one) for one in lists], np.int64)
    items = np.concatenate([*lists, np.empty(0, np.int32)]).astype(np.int32)
    return Ragged(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), items)


def nothing(count: int) -> Ragged:
    """`count` empty lists."""
    return Ragged(np.zeros(count + 1, np.int64), np.empty(0, np.int32))


@dataclass(frozen=True)
class Split:
    """S train histories in order of time, N questions. `targets` are empty lists in a test."""

    count_items: int
    listed: int  # how long a list may be
    train: Ragged
    histories: Ragged  # (N,) the known items of each question, oldest first
    excluded: Ragged  # (N,) items that must not be listed
    targets: Ragged = field(default_factory=lambda: nothing(0))

    def __len__(self) -> int:
        return len(self.histories)

    def save(self, path: Path) -> None:
        """As one npz file without pickles."""
        arrays: dict[str, Any] = {"count_items": self.count_items, "listed": self.listed}
        for name in ("train", "histories", "excluded", "targets"):
            part: Ragged = getattr(self, name)
            arrays |= {f"{name}_{column.name}": getattr(part, column.name) for column in fields(Ragged)}
        np.savez(path, **arrays)


def load(path: Path) -> Split:
    """Read the file of `Split.save`."""
    with np.load(path, allow_pickle=False) as stored:
        parts = {
            name: Ragged(stored[f"{name}_offsets"], stored[f"{name}_items"])
            for name in ("train", "histories", "excluded", "targets")
        }
        return Split(int(stored["count_items"]), int(stored["listed"]), **parts)


def lists_of(scores: Scores, split: Split) -> Lists:
    """The list of every question, by scores (B, I) of a batch."""
    rows, worth = empty_lists(split)
    for at in range(0, len(split), AT_ONCE):
        numbers = np.arange(at, min(at + AT_ONCE, len(split)))
        found = np.array(scores(numbers), np.float32)
        for place, number in enumerate(numbers):
            found[place, split.excluded.of(int(number))] = -np.inf
        rows[numbers], worth[numbers] = best(found, split.listed)
    return rows, worth


def empty_lists(split: Split) -> Lists:
    """Lists with nothing on them."""
    shape = (len(split), split.listed)
    return np.full(shape, -1, np.int32), np.zeros(shape, np.float32)


def best(scores: NDArray[np.float32], count: int) -> Lists:
    """(B, K) the best rows of (B, I) finite scores and their scores, ties by row."""
    size = min(count, scores.shape[1])
    cut = -np.partition(-scores, size - 1, axis=1)[:, size - 1 : size]  # (B, 1) the worst score that is listed
    rows = np.full((len(scores), count), -1, np.int32)
    worth = np.zeros((len(scores), count), np.float32)
    for number, line in enumerate(scores):
        near = np.flatnonzero((line >= cut[number]) & np.isfinite(line))
        near = near[np.lexsort((near, -line[near]))][:size]
        rows[number, : len(near)], worth[number, : len(near)] = near, line[near]
    return rows, worth


def with_popular(lists: Lists, split: Split) -> Lists:
    """The lists, with the popular items for questions without a history, whatever the method."""
    rows, worth = lists
    strangers = np.flatnonzero((split.histories.sizes == 0) & (rows[:, 0] < 0))
    if len(strangers):
        part = Split(
            split.count_items,
            split.listed,
            split.train,
            *(p.take(strangers) for p in (split.histories, split.excluded)),
        )
        rows[strangers], worth[strangers] = lists_of(popularity(part), part)
    return rows, worth


def popularity(split: Split) -> Scores:
    """Events in train, the same for everybody."""
    counts = np.bincount(split.train.items, minlength=split.count_items).astype(np.float32)
    return lambda numbers: np.where(counts > 0, counts, -np.inf)[None].repeat(len(numbers), axis=0)


def recall(rows: NDArray[np.int32], split: Split) -> float:
    """Mean hits of the lists (N, K) in the first 20 places over min(20, targets), on a split with targets."""
    found = [
        np.isin(row[:CUTOFF], split.targets.of(number)).sum() / min(CUTOFF, len(split.targets.of(number)))
        for number, row in enumerate(rows)
        if len(split.targets.of(number))
    ]
    return float(np.mean(found)) if found else 0.0


def progress(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
