"""From scores to lists, the same for every peer: excluded items never, equal scores by row.

Runs inside the peers' environment. Letters: N questions, B of a batch, I items, K length of a list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.split import Split

AT_ONCE = 256
Scores = Callable[[NDArray[np.int64]], NDArray[np.float32]]  # numbers of questions (B,) -> (B, I); -inf: not listed
Lists = tuple[NDArray[np.int32], NDArray[np.float32]]  # rows (N, K), -1 behind a shorter list; scores (N, K)


def lists_of(scores: Scores, split: Split) -> Lists:
    """Every question's list."""
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
    """(B, K) the best rows of (B, I) finite scores, ties by row."""
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
    """Who has no history is shown what is popular, whatever the method."""
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


def recall(rows: NDArray[np.int32], split: Split, cutoff: int = 20) -> float:
    """Mean hits in the first `cutoff` over min(cutoff, targets), on a split with targets."""
    found = [
        np.isin(row[:cutoff], split.targets.of(number)).sum() / min(cutoff, len(split.targets.of(number)))
        for number, row in enumerate(rows)
        if len(split.targets.of(number))
    ]
    return float(np.mean(found)) if found else 0.0


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)
