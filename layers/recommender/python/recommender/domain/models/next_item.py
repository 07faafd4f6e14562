"""The next item of a visit: candidates of several sources, described by features, scored by a small network.

Candidates are the encoder's nearest items, what session-kNN lists, and the visit's own items. The network was trained
by the session layer's job to put the item that came next first (see training_jobs.next_item.fitting):
    score = W3 relu(W2 relu(W1 x + b1) + b2) + skip x
Where it did not beat the plain mix of both lists, it holds nothing but that mix: skip is 1 for `mixed` and 0 otherwise.

Letters: I items, C candidates, F features, H and G hidden units, E width of the encoder.

Decisions: docs/decisions/next-item.md (090).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.next_item_features import ItemFacts, Question, candidate_rows, describe
from recommender.domain.models.search import RankedList

LISTED: Final = 100  # of each source, and of the answer
NOTHING: Final = (np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class NextItem:
    """The network with what its features are made of; `next_item.npz`."""

    log_share: Floats  # (I,) of the events
    trend: Floats  # (I,) log of this week's rate over the long-run one
    repeat_log_odds: Floats  # (I,) of a click on the item to be a repeat
    low: Floats  # (F,) features are kept within what training saw
    high: Floats  # (F,)
    hidden_1: Floats  # (H, F) W1
    bias_1: Floats  # (H,)
    hidden_2: Floats  # (G, H) W2
    bias_2: Floats  # (G,)
    out: Floats  # (G,) W3
    skip: Floats  # (F,)
    encoder_weight: float  # of the mix; the kNN has the rest
    by_rank: bool  # the mix is of reciprocal ranks, not of shares
    temperature: float  # of the encoder

    @property
    def facts(self) -> ItemFacts:
        """Facts of the items."""
        return ItemFacts(self.log_share, self.trend, self.repeat_log_odds)


def next_items(
    model: NextItem,
    visit: NDArray[np.integer],
    *,
    session_vec: Floats,
    item_vectors: Floats,
    nearest: NDArray[np.integer],
    sessions: RankedList,
    limit: int = LISTED,
) -> tuple[Rows, Floats]:
    """Up to `limit` rows and scores (softmax shares of all candidates), best first, ties by row.

    `session_vec` (E,), `item_vectors` (I, E); `nearest` and `sessions` are what the encoder and the kNN list; negative
    (unknown) rows of the visit are passed over. A visit without known items gets an empty list.
    """
    question = question_of(model, visit, session_vec, item_vectors, nearest, sessions)
    if question is None:
        return NOTHING
    logits = score(model, describe(model.facts, question))  # (C,)
    order = np.argsort(-logits, kind="stable")  # candidates stand by row
    mass = np.exp(logits - logits[order[0]])
    shares = mass / mass.sum()
    best = order[:limit]
    return question.rows[best], shares[best].astype(np.float32)


def question_of(
    model: NextItem,
    visit: NDArray[np.integer],
    session_vec: Floats,
    item_vectors: Floats,
    nearest: NDArray[np.integer],
    sessions: RankedList,
) -> Question | None:
    """Score the candidates by each source; None where the visit has no known item."""
    known = np.asarray(visit)[np.asarray(visit) >= 0]
    if not len(known):
        return None
    rows, recent = candidate_rows(known, nearest, sessions[0])
    return Question(
        rows=rows,
        visit=recent,
        length=len(known),
        vectors=item_vectors[rows],
        session_vec=session_vec,
        sessions=sessions,
        temperature=model.temperature,
        encoder_weight=model.encoder_weight,
        by_rank=model.by_rank,
    )


def score(model: NextItem, features: Floats) -> Floats:
    """(C,) logits of features (F, C)."""
    x = np.minimum(np.maximum(features, model.low[:, None]), model.high[:, None])
    first = np.maximum(model.hidden_1 @ x + model.bias_1[:, None], 0.0)  # (H, C)
    second = np.maximum(model.hidden_2 @ first + model.bias_2[:, None], 0.0)  # (G, C)
    logits: Floats = model.out @ second + model.skip @ x
    return logits
