"""What each member of the session layer lists for many questions at once, by the code that serves.

Letters: N prefixes, K length of a list, E width of the encoder, I items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.arrays import Floats, Rows
from recommender.domain.fusion import Fusion, fuse
from recommender.domain.next_item import NextItem, next_items, question_of
from recommender.domain.next_item_features import Question
from recommender.domain.session_knn import DEFAULT_SETTINGS, KnnSettings, SessionIndex, session_scores

from training_jobs.session_ranker.encoder import LONGEST, LastVector, SessionEncoder
from training_jobs.session_ranker.prefixes import LISTED, Answers, Prefixes, collect

ENCODED_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Knn:
    """The kNN's choice: how fast evidence fades. Neighbours and sample are what serving can afford."""

    settings: KnnSettings = DEFAULT_SETTINGS


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder says of N prefixes."""

    vectors: Floats  # (N, E) zero where nothing is known
    answers: Answers

    def take(self, chosen: NDArray[np.integer]) -> Encoded:
        """What it says of some prefixes."""
        return Encoded(self.vectors[chosen], self.answers.take(chosen))


def knn_answers(index: SessionIndex, prefixes: Prefixes, knn: Knn, *, now_days: float) -> Answers:
    """The kNN's lists, one prefix at a time."""
    return collect([knn_list(index, prefixes.visit(n), knn, now_days=now_days) for n in range(len(prefixes))])


def knn_list(
    index: SessionIndex, visit: Rows, knn: Knn, *, now_days: float, limit: int = LISTED
) -> tuple[Rows, Floats]:
    """One list of the kNN."""
    return session_scores(index, visit, now_days=now_days, limit=limit, settings=knn.settings)


@torch.no_grad()
def encoded(encoder: SessionEncoder, prefixes: Prefixes, *, size: int = LISTED) -> Encoded:
    """The encoder's lists over the full catalogue; scores are exp(cosine / temperature), scaled to at most 1."""
    encoder.eval()
    last, items = LastVector(encoder), encoder.item_vectors()  # (I, E)
    size, temperature = min(size, len(items)), encoder.settings.temperature
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
    """The lists of the next-item network, one prefix at a time."""
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
    """Each question with known items, and its target."""
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
