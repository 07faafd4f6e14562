"""Signals of one request: each source's scores of the items, computed once, read by candidates and features.

Sparse sources give rows with scores, dense ones an array over the catalogue or a vector to compare items with.
Letters: I items, D collaborative width, C content width, E session width, N items owned, L items of the visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Doubles, Floats, Rows
from recommender.domain.models.bundle import Bundle, Neighbours
from recommender.domain.models.discovery import history_weights, taste
from recommender.domain.models.next_item import LISTED, next_items
from recommender.domain.models.posterior import RETENTION, Preference, infer
from recommender.domain.models.prior import PageContext, contexts_of, log_prior
from recommender.domain.models.search import fused_scores, lexical_scores
from recommender.domain.models.session_knn import session_scores
from recommender.domain.serving.visitor import Owned, Seen, tower_input, visit_weights

VOTERS: Final = 300  # items of a history whose partners are counted
VOTER_HALF_LIFE_DAYS: Final = 120.0
NEXT_ITEMS: Final = 200  # that are put forward
COMPARED: Final = 10  # items of the visit that others are compared with


@dataclass(frozen=True, slots=True)
class Signals:
    """The evidence of one request. A None means that there is nothing to go by."""

    owned: Owned
    seen: Seen
    cohort: int
    now_days: float
    log_prior: Floats  # (I,) in the contexts of the page
    user_vec: Floats | None  # (D,) of a known shopper
    personal_vec: Floats | None  # (D,) mean of the preference: history and visit together
    preference: Preference
    history_scores: Doubles | None  # (I,) partners of what was bought
    first_purchase_taste: Floats | None  # (D,) the history as first purchases are foreseen by it
    focus: Rows  # distinct items of the page and the visit, the most telling first, at most COMPARED
    focus_weights: Floats  # (L,) of the focus
    partner_scores: Doubles | None  # (I,) partners of the focus
    session_rows: Rows  # sessions like this one, best first
    session_scores: Floats
    session_vec: Floats | None  # (E,)
    next_rows: Rows  # what the visit is likely to look at next, best first; its own items among them
    taste: Floats | None  # (C,) mean content of what was bought lately
    subject: Floats | None  # (C,) content of the query, else of the focus
    search_scores: Doubles | None  # (I,) fit to the query, by its words and by its content


def gather(bundle: Bundle, owned: Owned, seen: Seen, cohort: int, context: PageContext, now_days: float) -> Signals:
    """Ask every source that has something to go by."""
    user_vec = user_vector(bundle, owned, now_days)
    preference = _preference(bundle, user_vec, seen)
    has_visit = len(seen.rows) > 0
    focus = seen.focus[:COMPARED]
    weights = visit_weights(len(focus))[::-1]
    visit = seen.viewed if len(seen.viewed) else seen.anchors
    subject = _subject(bundle, focus, weights, context.search_term)
    session_rows, votes = session_scores(bundle.session_index, visit, now_days=now_days)
    session_vec = _session_vec(bundle, visit)
    return Signals(
        owned=owned,
        seen=seen,
        cohort=cohort,
        now_days=now_days,
        log_prior=log_prior(bundle.prior, contexts_of(context)),
        user_vec=user_vec,
        personal_vec=preference.mean.astype(np.float32) if has_visit else user_vec,
        preference=preference,
        history_scores=_history_scores(bundle, owned, now_days),
        first_purchase_taste=taste(
            bundle.discovery, owned.rows, history_weights(owned.orders, owned.last_on, now_days)
        ),
        focus=focus,
        focus_weights=weights,
        partner_scores=partners(bundle.co_purchase, focus, weights, bundle.count_items) if len(focus) else None,
        session_rows=session_rows,
        session_scores=votes,
        session_vec=session_vec,
        next_rows=_next_items(bundle, visit, session_vec, (session_rows, votes)),
        taste=taste_of(bundle, owned, now_days),
        subject=subject,
        search_scores=_search_scores(bundle, subject, context.search_term),
    )


def partners(
    neighbours: Neighbours, rows: NDArray[np.integer], weights: NDArray[np.floating], count_items: int
) -> Doubles:
    """(I,) the weighted sum of the neighbour scores of `rows`."""
    found = neighbours.rows[rows].ravel()
    votes = (neighbours.scores[rows] * weights[:, None]).ravel()
    known = found >= 0
    total: Doubles = np.bincount(found[known], weights=votes[known], minlength=count_items).astype(np.float64)
    return total


def content_of(bundle: Bundle, rows: NDArray[np.integer]) -> Floats:
    """(N, C) the content vectors of these items."""
    vectors: Floats = bundle.content_vectors[bundle.items.content_row[rows]]
    return vectors


def closeness(bundle: Bundle, subject: Floats) -> Floats:
    """(I,) cosine of each item's content and the subject; items are more than texts."""
    cosine: Floats = (bundle.content_vectors @ subject).take(bundle.items.content_row)
    return cosine


def user_vector(bundle: Bundle, owned: Owned, now_days: float) -> Floats | None:
    """(D,) what the user tower makes of a history; None where there is none."""
    if not len(owned.rows):
        return None
    rows, weights = tower_input(owned, now_days)
    answer = bundle.user_tower({"history": rows[None].astype(np.int64), "weights": weights[None]})
    vector: Floats = answer["user_vec"][0]
    return vector


def _preference(bundle: Bundle, user_vec: Floats | None, seen: Seen) -> Preference:
    preference = bundle.stranger if user_vec is None else bundle.stranger.around(user_vec)
    if not len(seen.rows):
        return preference
    return infer(
        preference,
        bundle.item_vectors[seen.rows],
        weights=seen.weights,
        observations=seen.observations,
        retention=RETENTION,
    )


def _history_scores(bundle: Bundle, owned: Owned, now_days: float) -> Doubles | None:
    if not len(owned.rows):
        return None
    age = np.maximum(now_days - owned.last_on, 0.0)
    weights = np.log1p(owned.orders) * np.exp2(-age / VOTER_HALF_LIFE_DAYS)  # (N,)
    rows = owned.rows
    if len(rows) > VOTERS:
        heaviest = np.argpartition(-weights, VOTERS)[:VOTERS]
        rows, weights = rows[heaviest], weights[heaviest]
    return partners(bundle.co_purchase, rows, weights / np.sqrt(len(rows)), bundle.count_items)


def _session_vec(bundle: Bundle, visit: Rows) -> Floats | None:
    if not len(visit):
        return None
    vector: Floats = bundle.session_encoder({"items": visit[None].astype(np.int64)})["session_vec"][0]
    return vector


def _next_items(bundle: Bundle, visit: Rows, session_vec: Floats | None, sessions: tuple[Rows, Floats]) -> Rows:
    """Rank the next items by the network, or by similar sessions where the bundle has none."""
    if bundle.next_item is None or session_vec is None:
        return sessions[0]
    rows, votes = sessions
    listed, _ = next_items(
        bundle.next_item,
        visit,
        session_vec=session_vec,
        item_vectors=bundle.session_item_vectors,
        nearest=bundle.session_retrieval({"q": session_vec[None]})["i"][0].astype(np.int32),
        sessions=(rows[:LISTED], votes[:LISTED]),
        limit=NEXT_ITEMS,
    )
    return listed


def taste_of(bundle: Bundle, owned: Owned, now_days: float) -> Floats | None:
    """(C,) mean content of what was bought lately, unit length; None where there is nothing."""
    if not len(owned.rows):
        return None
    recent = owned.recent_at(now_days)
    newest = np.argsort(-recent, kind="stable")[:50]
    return _unit((content_of(bundle, owned.rows[newest]) * recent[newest, None]).sum(axis=0))


def _subject(bundle: Bundle, focus: Rows, weights: Floats, search_term: str | None) -> Floats | None:
    if search_term:
        return _unit(np.asarray(bundle.encode_query(search_term)).ravel())
    if not len(focus):
        return None
    return _unit((content_of(bundle, focus) * weights[:, None]).sum(axis=0))


def _search_scores(bundle: Bundle, subject: Floats | None, search_term: str | None) -> Doubles | None:
    if not search_term or subject is None:
        return None
    return fused_scores(lexical_scores(bundle.lexical, search_term), closeness(bundle, subject))


def _unit(vector: NDArray[np.floating]) -> Floats:
    length = float(np.linalg.norm(vector))
    unit: Floats = (vector / max(length, 1e-9)).astype(np.float32)
    return unit
