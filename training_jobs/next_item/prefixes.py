"""Prefixes of sessions as next-item questions, and the lists with which each member of the session layer answers them.

Every prefix has the item that follows as its target, repeats included. The lists come from the code that serves.
Letters: N prefixes, K length of a list, E width of the encoder, I items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Counts, Doubles, Flags, Floats, Rows
from recommender.domain.models.next_item import NextItem, next_items, question_of
from recommender.domain.models.next_item_features import Question
from recommender.domain.models.search import Fusion, fuse
from recommender.domain.models.session_knn import DEFAULT_SETTINGS, KnnSettings, SessionIndex, session_scores

from training_jobs.metrics import expected_metrics, target_ranks
from training_jobs.next_item.encoder import LONGEST, LastVector, SessionEncoder

CUTOFFS = (5, 10, 20)
METRICS = (*(("hr", cutoff) for cutoff in CUTOFFS), ("mrr", 20), ("ndcg", 20))
LISTED = 100
ENCODED_AT_ONCE = 512  # prefixes


@dataclass(frozen=True, slots=True)
class Prefixes:
    """N prefixes items[start:stop] of sessions laid end to end, and the item after each. Unknown items are -1."""

    items: Rows
    starts: Counts  # (N,)
    stops: Counts  # (N,)
    targets: Rows  # (N,)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> Counts:
        """(N,) events before the target."""
        return self.stops - self.starts

    def visit(self, number: int) -> Rows:
        """(L,) the items of one prefix."""
        return self.items[self.starts[number] : self.stops[number]]

    def newest(self, count: int) -> Rows:
        """(N, count) the newest items of every prefix, -1 in front of a shorter one."""
        places = self.stops[:, None] - np.arange(count, 0, -1)  # (N, count)
        inside = places >= self.starts[:, None]
        return np.where(inside, self.items[np.where(inside, places, 0)], -1).astype(np.int32)

    def repeats(self) -> Flags:
        """(N,) whether the target occurs in the prefix already."""
        return np.array([target in self.visit(n) for n, target in enumerate(self.targets)], dtype=bool)

    def take(self, chosen: NDArray[np.integer]) -> Prefixes:
        """Some of the prefixes, by their numbers (n,)."""
        return Prefixes(self.items, self.starts[chosen], self.stops[chosen], self.targets[chosen])


@dataclass(frozen=True, slots=True)
class Answers:
    """For each prefix a list of rows, best first, -1 behind a shorter list, and the scores (N, K), 0 there."""

    rows: Rows
    scores: Floats

    def listed(self, number: int) -> tuple[Rows, Floats]:
        """The list of one prefix: rows and scores, (k,) each."""
        size = int((self.rows[number] >= 0).sum())
        return self.rows[number, :size], self.scores[number, :size]

    def take(self, chosen: NDArray[np.integer]) -> Answers:
        """The answers of some prefixes, by their numbers (n,)."""
        return Answers(self.rows[chosen], self.scores[chosen])


def next_item_metrics(answers: Answers, targets: Rows) -> dict[str, Doubles]:
    """(N,) expected hr@5, hr@10, hr@20, mrr@20 and ndcg@20 of each prefix; `targets` (N,) rows."""
    above, equal = target_ranks(answers.rows, answers.scores, targets, unlisted=max(CUTOFFS))
    return expected_metrics(above, equal, METRICS)


def all_prefixes(offsets: NDArray[np.integer], items: Rows, *, least: int = 1) -> Prefixes:
    """Every prefix of at least `least` events whose target is known, over sessions with offsets (S + 1,)."""
    places = np.arange(len(items))
    starts = np.repeat(np.asarray(offsets[:-1]), np.diff(offsets))
    chosen = (places - starts >= least) & (items >= 0)
    return Prefixes(items, starts[chosen].astype(np.int64), places[chosen].astype(np.int64), items[chosen])


def collect(lists: Sequence[tuple[NDArray[np.integer], NDArray[np.floating]]]) -> Answers:
    """Lists of different lengths, (rows, scores) each, as one table."""
    rows, scores = np.full((len(lists), LISTED), -1, np.int32), np.zeros((len(lists), LISTED), np.float32)
    for n, (found, worth) in enumerate(lists):
        count = min(LISTED, len(found))
        rows[n, :count], scores[n, :count] = found[:count], worth[:count]
    return Answers(rows, scores)


@dataclass(frozen=True, slots=True)
class Knn:
    """The settings of the kNN; neighbours and sample are as large as serving can afford."""

    settings: KnnSettings = DEFAULT_SETTINGS


@dataclass(frozen=True, slots=True)
class Encoded:
    """The vectors and lists of the encoder for N prefixes."""

    vectors: Floats  # (N, E) zero where nothing is known
    answers: Answers

    def take(self, chosen: NDArray[np.integer]) -> Encoded:
        """The vectors and lists of some prefixes, by their numbers (n,)."""
        return Encoded(self.vectors[chosen], self.answers.take(chosen))


def knn_answers(index: SessionIndex, prefixes: Prefixes, knn: Knn, *, now_days: float) -> Answers:
    """The kNN's lists, one prefix at a time."""
    return collect([knn_list(index, prefixes.visit(n), knn, now_days=now_days) for n in range(len(prefixes))])


def knn_list(index: SessionIndex, visit: Rows, knn: Knn, *, now_days: float) -> tuple[Rows, Floats]:
    """The kNN's list of one visit (L,): rows and scores, (K,) each."""
    return session_scores(index, visit, now_days=now_days, limit=LISTED, settings=knn.settings)


@torch.no_grad()
def encoded(encoder: SessionEncoder, prefixes: Prefixes) -> Encoded:
    """The encoder's lists over the full catalogue; scores are exp(cosine / temperature), scaled to at most 1."""
    encoder.eval()
    last, items = LastVector(encoder), encoder.item_vectors()  # (I, E)
    size, temperature = min(LISTED, len(items)), encoder.settings.temperature
    vectors, rows, scores = (
        [np.empty((0, items.shape[1]), np.float32)],
        [np.empty((0, size), np.int32)],
        [np.empty((0, size), np.float32)],
    )
    newest = torch.from_numpy(prefixes.newest(LONGEST).astype(np.int64))  # (N, L)
    for block in torch.split(newest, ENCODED_AT_ONCE):
        session = last(block)  # (B, E)
        cosine, found = (session @ items.T).topk(size, dim=1)  # (B, K)
        has_items = (block >= 0).any(dim=1, keepdim=True)
        vectors.append(session.numpy())
        rows.append(torch.where(has_items, found, -1).int().numpy())
        scores.append(torch.where(has_items, ((cosine - 1.0) / temperature).exp(), 0.0).numpy())
    return Encoded(np.concatenate(vectors), Answers(np.concatenate(rows), np.concatenate(scores)))


def fused(encoder: Answers, knn: Answers, fusion: Fusion) -> Answers:
    """The lists of both members joined by the plain mix."""
    return collect([fuse([encoder.listed(n), knn.listed(n)], fusion, limit=LISTED) for n in range(len(encoder.rows))])


def ranked(model: NextItem, prefixes: Prefixes, neural: Encoded, knn: Answers, item_vectors: Floats) -> Answers:
    """The lists of the next-item network, one prefix at a time; `item_vectors` (I, E)."""
    return collect(
        [
            next_items(
                model,
                prefixes.visit(n),
                session_vec=neural.vectors[n],
                item_vectors=item_vectors,
                nearest=neural.answers.listed(n)[0],
                sessions=knn.listed(n),
            )
            for n in range(len(prefixes))
        ]
    )


def questions(
    model: NextItem, prefixes: Prefixes, neural: Encoded, knn: Answers, item_vectors: Floats
) -> Iterator[tuple[Question, int]]:
    """Each question with known items, and its target; `item_vectors` (I, E)."""
    for n in range(len(prefixes)):
        question = question_of(
            model,
            prefixes.visit(n),
            neural.vectors[n],
            item_vectors,
            neural.answers.listed(n)[0],
            knn.listed(n),
        )
        if question is not None:
            yield question, int(prefixes.targets[n])
