"""Where the wanted item stands in the ranking of the whole catalogue, and what heads the list.

Equal scores count at their expected rank: with `above` items better and `equal` items as good (itself among them), the
rank is any of above + 1 .. above + equal with the same chance. Letters: Q questions, B of a batch, I items, K listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles

from benchmarks.sequences.data import Histories, Questions

CUTOFF = 10
LISTED = 20
AT_ONCE = 256  # questions at most, and as many scores
SCORES_AT_ONCE = 4_000_000
Scorer = Callable[[Histories, NDArray[np.int64]], NDArray[np.floating]]  # histories, users (B,) -> (B, I)


@dataclass(frozen=True, slots=True)
class Answers:
    """What one method answered: for each question the place of the wanted item, and the head of the list."""

    above: NDArray[np.int64]  # (Q,) items with a better score
    equal: NDArray[np.int64]  # (Q,) items with the same score, itself included
    lists: NDArray[np.int64]  # (Q, K) rows, best first, ties by row


def batches(questions: Questions) -> Iterator[slice]:
    """The questions in parts that fit in memory with a score for every item."""
    size = min(max(SCORES_AT_ONCE // questions.count_items, 1), AT_ONCE)
    yield from (slice(at, min(at + size, len(questions))) for at in range(0, len(questions), size))


def answer(scorer: Scorer, questions: Questions, *, keeps_seen: bool) -> Answers:
    """Ask every question; without `keeps_seen`, items of the history are not listed."""
    parts = [_answered(scored, targets) for _, scored, targets in scored_batches(scorer, questions, keeps_seen)]
    above, equal, lists = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Answers(above, equal, lists)


def scored_batches(
    scorer: Scorer, questions: Questions, keeps_seen: bool
) -> Iterator[tuple[NDArray[np.int64], Doubles, NDArray[np.int64]]]:
    """(users, scores (B, I), targets) of one batch after the other; what may not be listed has -inf."""
    for part in batches(questions):
        users = questions.users[part]
        scores = np.array(scorer(questions.histories, users), np.float64)
        if not keeps_seen:
            for n, user in enumerate(users):
                scores[n, questions.histories.of(int(user))] = -np.inf
        yield users, scores, questions.targets[part]


def _answered(scores: Doubles, targets: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    own = scores[np.arange(len(targets)), targets][:, None]  # (B, 1)
    above, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    # An item that may not be listed stands behind everything.
    above = np.where(np.isneginf(own[:, 0]), scores.shape[1], above)
    return above, equal, head(scores, LISTED)


def head(scores: Doubles, count: int) -> NDArray[np.int64]:
    """(B, K) the best rows, ties by row."""
    count = min(count, scores.shape[1])
    best = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def marks(answers: Answers, cutoff: int = CUTOFF) -> dict[str, Doubles]:
    """recall@10 and ndcg@10 of each question, (Q,), expected over the order of equal scores."""
    places = np.arange(cutoff)
    gains = {"recall": np.ones(cutoff), "ndcg": 1.0 / np.log2(places + 2.0)}
    first, last = np.minimum(answers.above, cutoff), np.minimum(answers.above + answers.equal, cutoff)
    found = {}
    for name, gain in gains.items():
        total = np.concatenate([[0.0], np.cumsum(gain)])  # gain of the first n places
        found[f"{name}@{cutoff}"] = (total[last] - total[first]) / answers.equal
    return found
