"""The methods of the sequences benchmark, and the rank that each gives to the wanted item in the whole catalogue.

A method is fitted on histories and gives a scorer for histories of the same users. Equal scores count at their expected
rank. Letters: Q questions, U users, B of a batch, I items, K length of a list, L items of a history, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles, Floats
from recommender.domain.serving.visitor import TOWER_ITEMS

from benchmarks.sequences.data import Histories, Questions
from training_jobs.baselines import IalsSettings, Matrix, ials, strongest_of_rows
from training_jobs.metrics import LISTED, expected_metrics
from training_jobs.two_tower.batches import ONCE
from training_jobs.two_tower.data import Catalogue, Purchases
from training_jobs.two_tower.model import TwoTower, UserTower
from training_jobs.two_tower.training import Measure, TowerSettings, Trained, train_towers

METRICS = (("recall", 10), ("ndcg", 10))
AT_ONCE = 256  # questions at most, and as many scores
SCORES_AT_ONCE = 4_000_000
RETENTION = 0.8  # weight of an item of a history against the one after it
NEIGHBOURS = 200
NEWEST = 200  # items of a history that are each other's company
DISTANCE = 5  # steps within which one item counts as following another
DAMPING = 3.0  # users added to an item's count, so that rare items are not each other's nearest for nothing
TAIL_USERS = 3000
Scorer = Callable[[Histories, NDArray[np.int64]], NDArray[np.floating]]  # histories, users (B,) -> (B, I)
IALS_CHOICES = tuple(IalsSettings(width=64, alpha=alpha, ridge=ridge) for alpha, ridge in ((1.0, 1.0), (4.0, 4.0)))


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one method: the rank of the wanted item of each question, and the head of the list."""

    above: NDArray[np.int64]  # (Q,) items with a better score
    equal: NDArray[np.int64]  # (Q,) items with the same score, itself included
    lists: NDArray[np.int64]  # (Q, K) rows, best first, ties by row


def batches(questions: Questions) -> Iterator[slice]:
    """The questions in parts that fit in memory with a score for every item."""
    size = min(max(SCORES_AT_ONCE // questions.count_items, 1), AT_ONCE)
    yield from (slice(at, min(at + size, len(questions))) for at in range(0, len(questions), size))


def answer(scorer: Scorer, questions: Questions, *, keeps_seen: bool) -> Answers:
    """The answers to every question; without `keeps_seen`, items of the history are not listed."""
    parts = [_answered(scored, targets) for _, scored, targets in scored_batches(scorer, questions, keeps_seen)]
    above, equal, lists = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Answers(above, equal, lists)


def scored_batches(
    scorer: Scorer, questions: Questions, keeps_seen: bool
) -> Iterator[tuple[NDArray[np.int64], Doubles, NDArray[np.int64]]]:
    """(users, scores (B, I), targets) of one batch after the other; excluded items have -inf."""
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


def sequence_metrics(answers: Answers) -> dict[str, Doubles]:
    """recall@10 and ndcg@10 of each question, (Q,), expected over the order of equal scores."""
    return expected_metrics(answers.above, answers.equal, METRICS)


def popular(train: Histories, count_items: int) -> Scorer:
    """The number of occurrences of each item."""
    counts = np.bincount(train.items, minlength=count_items).astype(np.float64)
    return lambda histories, users: np.broadcast_to(counts, (len(users), count_items))


def item_knn(train: Histories, count_items: int) -> Scorer:
    """Cosine of two items' users, damped, summed over the history, newest first."""
    is_newest = (_age(train) < NEWEST).astype(
        np.float64
    )  # company in a history of thousands means little and costs much
    owned = _matrix(train, np.arange(len(train)), is_newest, count_items)
    owned.data = np.minimum(owned.data, 1.0)
    owned.eliminate_zeros()
    together = (owned.T @ owned).tocsr()
    length = np.sqrt(together.diagonal() + DAMPING)
    together.setdiag(0.0)
    return _votes(sp.diags(1.0 / length) @ together @ sp.diags(1.0 / length))


def markov(train: Histories, count_items: int) -> Scorer:
    """How often an item followed each one of the history within DISTANCE steps, at 1 / steps."""
    users = np.repeat(np.arange(len(train)), np.diff(train.offsets))
    follows = sp.csr_matrix((count_items, count_items))
    for steps in range(1, DISTANCE + 1):
        same = users[steps:] == users[:-steps]
        pair = (train.items[:-steps][same], train.items[steps:][same])
        follows = follows + sp.csr_matrix((np.full(same.sum(), 1.0 / steps), pair), shape=follows.shape)
    total = np.asarray(follows.sum(axis=1)).ravel() + DAMPING
    return _votes(sp.diags(1.0 / total) @ follows)


def tuned_ials(train: Histories, valid: Questions, count_items: int, *, keeps_seen: bool) -> IalsSettings:
    """The choice with the best ndcg@10 on a sample of the validation."""
    sample = sampled(valid, TAIL_USERS)
    found = {
        choice: _mean_ndcg(fitted_ials(train, choice, count_items), sample, keeps_seen=keeps_seen)
        for choice in IALS_CHOICES
    }
    return max(found, key=lambda choice: found[choice])


def fitted_ials(train: Histories, settings: IalsSettings, count_items: int) -> Scorer:
    """Implicit least squares on the users and their items."""
    counts = _matrix(train, np.arange(len(train)), np.ones(len(train.items)), count_items)
    score = ials(Matrix(counts, counts, 0.0), settings)
    return lambda histories, users: np.stack([score(int(user)) for user in users])


def by_content(vectors: Floats) -> Scorer:
    """Cosine of an item's content (I, C) with the mean content of the history, newest first."""
    count_items = len(vectors)

    def score(histories: Histories, users: NDArray[np.int64]) -> NDArray[np.floating]:
        return np.asarray((recent(histories, users, count_items) @ vectors) @ vectors.T)

    return score


def towers_of(
    train: Histories,
    vectors: Floats | None,
    count_items: int,
    settings: TowerSettings,
    *,
    measure: Measure | None = None,
    steps: int | None = None,
    label: str,
) -> Trained:
    """The two-tower job's training on these histories; without content vectors (I, C) an item is its id alone."""
    purchases = Purchases(train.offsets, train.items, np.full(len(train.items), ONCE, np.float32), count_items)
    rows = np.arange(count_items, dtype=np.int32)
    catalogue = (
        Catalogue(np.zeros((1, 1), np.float32), rows * 0, ()) if vectors is None else Catalogue(vectors, rows, ())
    )
    return train_towers(purchases, catalogue, settings, measure=measure, steps=steps, label=label)


def tail_measure(valid: Questions, *, keeps_seen: bool) -> Measure:
    """ndcg@10 of towers on a sample of the validation."""
    sample = sampled(valid, TAIL_USERS)
    return lambda towers: _mean_ndcg(by_towers(towers), sample, keeps_seen=keeps_seen)


def _mean_ndcg(scorer: Scorer, questions: Questions, *, keeps_seen: bool) -> float:
    return float(sequence_metrics(answer(scorer, questions, keeps_seen=keeps_seen))["ndcg@10"].mean())


def by_towers(towers: TwoTower) -> Scorer:
    """Cosine of the user tower's vector with every item's."""
    user = UserTower(towers).eval()

    def score(histories: Histories, users: NDArray[np.int64]) -> NDArray[np.floating]:
        longest = min(max(len(histories.of(int(u))) for u in users), TOWER_ITEMS)
        rows = np.zeros((len(users), longest), np.int64)
        weights = np.zeros((len(users), longest), np.float32)
        for n, u in enumerate(users):
            items = histories.of(int(u))[-longest:]
            rows[n, longest - len(items) :], weights[n, longest - len(items) :] = items, ONCE
        with torch.inference_mode():
            vectors = user(torch.from_numpy(rows), torch.from_numpy(weights))
            return np.asarray((vectors @ user.vectors.T).numpy())

    return score


def sampled(questions: Questions, count: int) -> Questions:
    """At most `count` of the questions, always the same."""
    if len(questions) <= count:
        return questions
    chosen = np.sort(np.random.default_rng(0).choice(len(questions), count, replace=False))
    return replace(questions, users=questions.users[chosen], targets=questions.targets[chosen])


def recent(histories: Histories, users: NDArray[np.int64], count_items: int) -> sp.csr_matrix:
    """(B, I) the histories of these users, the newest item at 1, the one before it at RETENTION."""
    return _matrix(histories, users, RETENTION ** _age(histories), count_items)


def _age(histories: Histories) -> NDArray[np.int64]:
    """The number of items after each item in its history."""
    return np.repeat(histories.offsets[1:], np.diff(histories.offsets)) - 1 - np.arange(len(histories.items))


def _matrix(
    histories: Histories, users: NDArray[np.int64], weights: NDArray[np.floating], count_items: int
) -> sp.csr_matrix:
    shape = (len(histories), count_items)
    whole = sp.csr_matrix((weights, histories.items, histories.offsets), shape=shape, copy=True)
    chosen = whole[users]
    chosen.sum_duplicates()
    return chosen


def _votes(likeness: sp.spmatrix) -> Scorer:
    """Sum over the history, the newest first, of each item's NEIGHBOURS strongest likenesses (I, I)."""
    likeness = strongest_of_rows(likeness, NEIGHBOURS)

    def score(histories: Histories, users: NDArray[np.int64]) -> NDArray[np.floating]:
        return np.asarray((recent(histories, users, likeness.shape[0]) @ likeness).toarray())

    return score
