"""The features of next-item candidates: one implementation for training, evaluation and serving.

Four groups: the encoder's scores, the scores of similar sessions, the item's place in the visit, and facts
of the item. What describes the visit as a whole is the same for all candidates and lets the network weigh the others.

Letters: I items, C candidates, F features, L events of the visit, U its distinct items, E width of the encoder.

Decisions: docs/decisions/next-item.md (091).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.search import CONSTANT, RankedList

FEATURES: Final = (
    "mixed",
    # the encoder
    "encoder_gap",
    "encoder_share",
    "encoder_rank",
    "encoder_best",
    "encoder_entropy",
    "like_last",
    "like_before",
    # sessions like this one
    "sessions_listed",
    "sessions_share",
    "sessions_rank",
    "sessions_best",
    "sessions_mass",
    # the visit
    "in_visit",
    "clicks",
    "click_share",
    "since_last_click",
    "since_first_click",
    "between_clicks",
    "recency_rank",
    "click_rank",
    "is_last",
    "is_first",
    "followed_last",
    "visit_length",
    "visit_distinct",
    "visit_since_repeat",
    # the item
    "log_share",
    "trend",
    "repeat_log_odds",
)
LONGEST: Final = 60  # newest events of a visit that are read
NEVER: Final = 60.0  # clicks ago, or a rank, of what the visit lacks
TINY: Final = 1e-6
FARTHEST: Final = 25.0  # logits below the best

Column = NDArray[Any] | float
Columns = dict[str, Column]


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """Static facts of the items; fields as in NextItem."""

    log_share: Floats
    trend: Floats
    repeat_log_odds: Floats


@dataclass(frozen=True, slots=True)
class Question:
    """A visit, its candidates and the sources' scores."""

    rows: Rows  # (C,) sorted, distinct
    visit: Rows  # (L,) known items, newest LONGEST, oldest first; all of them candidates
    length: int  # of the whole visit
    vectors: Floats  # (C, E) unit vectors of the candidates
    session_vec: Floats  # (E,)
    sessions: RankedList  # the kNN's list; all of it candidates
    temperature: float
    encoder_weight: float
    by_rank: bool


@dataclass(frozen=True, slots=True)
class _Visit:
    """The distinct items of a visit. U of them, sorted by row."""

    rows: Rows
    places: NDArray[np.intp]  # in the candidates
    since_last: NDArray[np.intp]  # clicks since the item's last click, 0 for the newest
    since_first: NDArray[np.intp]
    counts: NDArray[np.intp]
    between: Floats  # clicks between its last two, NEVER where there was one
    newest_first: NDArray[np.intp]  # their order by last click


def candidate_rows(
    visit: NDArray[np.integer], nearest: NDArray[np.integer], listed: NDArray[np.integer]
) -> tuple[Rows, Rows]:
    """The distinct rows of all sources, sorted; and the part of the visit that is read."""
    recent = visit[-LONGEST:].astype(np.int32)
    return np.unique(np.concatenate([nearest, listed, recent])).astype(np.int32), recent


def describe(facts: ItemFacts, question: Question) -> Floats:
    """(F, C) in the order of FEATURES."""
    seen = _distinct(question)
    encoder, neural_share, neural_rank = _encoder(question, seen)
    sessions, votes_share, votes_rank = _sessions(question)
    columns: Columns = {
        "mixed": _mixed(question, (neural_share, neural_rank), (votes_share, votes_rank)),
        **encoder,
        **sessions,
        **_in_visit(question, seen),
        **_item(facts, question.rows),
    }
    table = np.empty((len(FEATURES), len(question.rows)), np.float32)
    for place, name in enumerate(FEATURES):
        table[place] = columns[name]
    return table


def _distinct(question: Question) -> _Visit:
    visit = question.visit
    order = np.argsort(visit, kind="stable")  # by item, then by time
    items = visit[order]
    is_start = np.ones(len(items) + 1, bool)
    is_start[1:-1] = items[1:] != items[:-1]
    bounds = np.flatnonzero(is_start)
    starts, ends = bounds[:-1], bounds[1:] - 1
    newest = len(visit) - 1
    counts = ends - starts + 1
    before = order[np.maximum(ends - 1, 0)]
    rows, since_last = items[starts], newest - order[ends]
    return _Visit(
        rows=rows,
        places=np.searchsorted(question.rows, rows),
        since_last=since_last,
        since_first=newest - order[starts],
        counts=counts,
        between=np.where(counts > 1, order[ends] - before, NEVER).astype(np.float32),
        newest_first=np.argsort(since_last),
    )


def _encoder(question: Question, seen: _Visit) -> tuple[Columns, Floats, Floats]:
    logits = (question.vectors @ question.session_vec) / question.temperature  # (C,)
    best = logits.max()
    mass = np.exp(logits - best)
    share = mass / mass.sum()
    log_share = np.log(share + TINY)
    ranks = np.empty(len(logits), np.float32)
    ranks[np.argsort(-logits, kind="stable")] = np.arange(len(logits))
    newest = seen.places[seen.newest_first[:2]]
    return (
        {
            "encoder_gap": np.maximum(logits - best, -FARTHEST),
            "encoder_share": log_share,
            "encoder_rank": np.log1p(ranks),
            "encoder_best": best * question.temperature,
            "encoder_entropy": -float(share @ log_share),
            "like_last": question.vectors @ question.vectors[newest[0]],
            "like_before": question.vectors @ question.vectors[newest[-1]],
        },
        share,
        ranks,
    )


def _sessions(question: Question) -> tuple[Columns, Floats, Floats]:
    rows, votes = question.sessions
    count = len(question.rows)
    share, ranks = np.zeros(count, np.float32), np.full(count, np.inf, np.float32)
    listed = np.zeros(count, np.float32)
    total = float(votes.sum())
    if len(rows):
        places = np.searchsorted(question.rows, rows)
        share[places], ranks[places], listed[places] = votes / total, np.arange(len(rows)), 1.0
    return (
        {
            "sessions_listed": listed,
            "sessions_share": np.log(share + TINY),
            "sessions_rank": np.log1p(np.minimum(ranks, 2.0 * NEVER)),
            "sessions_best": np.log(share.max() + TINY),
            "sessions_mass": np.log(total + TINY),
        },
        share,
        ranks,
    )


def _mixed(question: Question, encoder: tuple[Floats, Floats], sessions: tuple[Floats, Floats]) -> NDArray[Any]:
    """Log of the plain mix of both sources, as in recommender.domain.models.search."""
    weight = question.encoder_weight
    if question.by_rank:
        return np.log(weight / (CONSTANT + 1.0 + encoder[1]) + (1.0 - weight) / (CONSTANT + 1.0 + sessions[1]))
    return np.log(weight * encoder[0] + (1.0 - weight) * sessions[0] + TINY)


def _in_visit(question: Question, seen: _Visit) -> Columns:
    count, visit = len(question.rows), question.visit
    table = np.zeros((9, count), np.float32)
    inside, clicks, share, last, first, between, recency, frequency, followed = table
    table[3:8] = np.log1p(NEVER)
    distinct = len(seen.rows)
    rank = np.arange(distinct, dtype=np.float32)
    by_age, by_count = np.empty(distinct, np.float32), np.empty(distinct, np.float32)
    by_age[seen.newest_first] = rank
    by_count[np.lexsort((seen.since_last, -seen.counts))] = rank
    values = np.stack([seen.counts, seen.since_last, seen.since_first, seen.between, by_age, by_count])
    inside[seen.places] = 1.0
    share[seen.places] = seen.counts / len(visit)
    clicks[seen.places], last[seen.places], first[seen.places], between[seen.places], *ranks = np.log1p(values)
    recency[seen.places], frequency[seen.places] = ranks
    after = visit[1:][visit[:-1] == visit[-1]]
    if len(after):
        np.add.at(followed, np.searchsorted(question.rows, after), 1.0)
    return {
        "in_visit": inside,
        "clicks": clicks,
        "click_share": share,
        "since_last_click": last,
        "since_first_click": first,
        "between_clicks": between,
        "recency_rank": recency,
        "click_rank": frequency,
        "is_last": question.rows == visit[-1],
        "is_first": question.rows == visit[0],
        "followed_last": np.minimum(followed, 3.0),
        "visit_length": np.log(question.length),
        "visit_distinct": distinct / len(visit),
        "visit_since_repeat": np.log1p(seen.since_last[seen.counts > 1].min(initial=int(NEVER))),
    }


def _item(facts: ItemFacts, rows: Rows) -> Columns:
    return {
        "log_share": facts.log_share[rows],
        "trend": facts.trend[rows],
        "repeat_log_odds": facts.repeat_log_odds[rows],
    }
