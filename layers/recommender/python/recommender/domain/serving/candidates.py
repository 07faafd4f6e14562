"""Candidates: the best items of each source, and the strength of each source for each of them.

A source puts forward its best rows up to its share of the limit; the union is cut by the best rank (relative to the
source's share) that an item has anywhere. Letters: I items, C candidates, 9 sources of contracts.placements.SOURCES.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.contracts.placements import SOURCES
from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.discovery import most_tried
from recommender.domain.models.prior import PageContext, context_counts
from recommender.domain.serving.signals import Signals, closeness, content_of, gather
from recommender.domain.serving.visit import Session, Shopper
from recommender.domain.serving.visitor import days_since_epoch, owned_items, seen_items

SHARES: Final[Mapping[str, float]] = {  # of the limit, by PROPOSERS
    "own_history": 0.40,
    "personal": 0.25,
    "history_partners": 0.17,
    "discovery": 0.20,
    "session": 0.25,
    "recent": 0.10,
    "co_purchase": 0.17,
    "similar_content": 0.12,
    "category": 0.15,
    "prior": 0.17,
    "trending": 0.10,
    "incumbent": 0.06,
}
SAMPLED_EACH: Final = 32  # score of the catalogue, to bound the best ones
STRONG_TREND: Final = float(np.log(4.0))  # the short-run rate at which the trend's strength is 1


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items to score, sorted by row, with the evidence that features are computed from."""

    rows: Rows  # (C,)
    strengths: Floats  # (C, 9) in [0, 1]
    signals: Signals


def candidates(
    bundle: Bundle, shopper: Shopper, session: Session, context: PageContext, *, limit: int = 600
) -> Candidates:
    """Up to `limit` candidates for this shopper, visit and page."""
    owned = owned_items(bundle, shopper.history)
    seen = seen_items(bundle, session, context)
    now_days = days_since_epoch(context.now)
    signals = gather(bundle, owned, seen, shopper.cohort, context, now_days)
    rows = candidate_rows(bundle, signals, category=context.category, limit=limit)
    return Candidates(rows, strengths(bundle, signals, rows, category=context.category), signals)


def candidate_rows(bundle: Bundle, signals: Signals, *, category: str | None = None, limit: int = 600) -> Rows:
    """(C <= limit,) distinct rows, sorted; ties in rank go to the lower row."""
    limit = min(limit, bundle.count_items)
    best = np.full(bundle.count_items, np.inf, np.float32)  # (I,) relative rank in the source that likes it most
    for source, rows in _proposals(bundle, signals, category, limit):
        rank = np.arange(len(rows), dtype=np.float32) / _share_of(source, limit)
        np.minimum.at(best, rows, rank)
    proposed = np.flatnonzero(np.isfinite(best))
    if len(proposed) > limit:
        proposed = proposed[np.argsort(best[proposed], kind="stable")[:limit]]
    return np.sort(proposed).astype(np.int32)


def strengths(bundle: Bundle, signals: Signals, rows: Rows, *, category: str | None = None) -> Floats:
    """(C, 9) the strength of each source for each item, in [0, 1]."""
    by_source: dict[str, NDArray[np.floating]] = {
        "personal": _personal(bundle, signals, rows),
        "own_history": _own_history(signals, rows),
        "session": _session(bundle, signals, rows),
        "recent": _recent(signals, rows),
        "co_purchase": _to_best(None if signals.partner_scores is None else signals.partner_scores[rows], len(rows)),
        "similar_content": _similar_content(bundle, signals, rows),
        "category": _in_category(bundle, rows, category),
        "prior": np.exp(0.5 * (bundle.prior.log_share[rows] - bundle.prior.log_share[bundle.popular[0]])),
        "trending": bundle.prior.trend[rows] / STRONG_TREND,
    }
    stacked: Floats = np.stack([by_source[source] for source in SOURCES], axis=1)
    return np.clip(stacked, 0.0, 1.0).astype(np.float32)


def _proposals(bundle: Bundle, signals: Signals, category: str | None, limit: int) -> Iterator[tuple[str, Rows]]:
    """Each source's rows, best first; longer lists than its share are welcome where they cost nothing."""
    owned = signals.owned
    yield "own_history", owned.rows[np.argsort(-owned.recent_at(signals.now_days), kind="stable")]
    if signals.personal_vec is not None:
        yield "personal", bundle.retrieval({"q": signals.personal_vec[None]})["i"][0].astype(np.int32)
    if signals.history_scores is not None:
        fresh = signals.history_scores.copy()
        fresh[owned.rows] = 0.0
        yield "history_partners", _top_positive(fresh, "history_partners", limit)
    yield "discovery", _tried(bundle, signals, limit)
    yield "session", signals.next_rows
    yield "recent", np.concatenate([signals.seen.anchors, signals.seen.viewed[::-1]])
    if signals.partner_scores is not None:
        yield "co_purchase", _top_positive(signals.partner_scores, "co_purchase", limit)
    if signals.search_scores is not None:
        yield "similar_content", _top(signals.search_scores, "similar_content", limit)
    elif signals.subject is not None:
        yield "similar_content", _top(closeness(bundle, signals.subject), "similar_content", limit)
    found = context_counts(bundle.prior, f"category:{category}") if category else None
    if found is not None:
        yield "category", found.rows
    yield "prior", _top(signals.log_prior, "prior", limit)
    yield "trending", bundle.trending[: _share_of("trending", limit)]
    yield "incumbent", bundle.cohorts.lists[signals.cohort]


def _tried(bundle: Bundle, signals: Signals, limit: int) -> Rows:
    """Return the items that the shopper is most likely to buy for the first time."""
    listed, scores = most_tried(bundle.discovery, signals.first_purchase_taste)
    _, is_owned = signals.owned.places(listed)
    return listed[~is_owned][_top(scores[~is_owned], "discovery", limit)]


def _top(scores: NDArray[np.floating], source: str, limit: int) -> Rows:
    """The best rows of (I,) scores, as many as the source's share."""
    return top_rows(scores, _share_of(source, limit))


def _share_of(source: str, limit: int) -> int:
    return max(int(SHARES[source] * limit), 1)


def _top_positive(scores: NDArray[np.floating], source: str, limit: int) -> Rows:
    """`_top` of scores that are mostly zero: an item without any evidence is not put forward."""
    found = np.flatnonzero(scores > 0)
    best: Rows = found[_top(scores[found], source, limit)].astype(np.int32)
    return best


def top_rows(scores: NDArray[np.floating], count: int) -> Rows:
    """The `count` best rows of (I,) scores, best first, ties by row.

    A sample of the scores gives a bound that about twice as many pass: a tenth of the time of partitioning all.
    """
    count = min(count, len(scores))
    found: NDArray[np.intp] | None = None
    sample = scores[::SAMPLED_EACH]
    expected = 2 * count // SAMPLED_EACH + 1
    if expected < len(sample):
        found = np.flatnonzero(scores >= np.partition(sample, -expected)[-expected])
    if found is None or len(found) < count:
        found = np.arange(len(scores))
    if len(found) > 4 * count > 0:
        found = found[scores[found] >= np.partition(scores[found], -count)[-count]]
    return found[np.lexsort((found, -scores[found]))][:count].astype(np.int32)


def _personal(bundle: Bundle, signals: Signals, rows: Rows) -> NDArray[np.floating]:
    if signals.personal_vec is None:
        return np.zeros(len(rows), np.float32)
    scores = bundle.item_vectors[rows] @ signals.personal_vec
    return _to_best(np.asarray(scores - scores.mean()) if len(rows) else None, len(rows))


def _own_history(signals: Signals, rows: Rows) -> NDArray[np.floating]:
    place, is_owned = signals.owned.places(rows)
    if not is_owned.any():
        return np.zeros(len(rows))
    recent = signals.owned.recent_at(signals.now_days)
    return np.where(is_owned, np.sqrt(recent[place] / max(float(recent.max()), 1e-9)), 0.0)


def _session(bundle: Bundle, signals: Signals, rows: Rows) -> NDArray[np.floating]:
    if signals.session_vec is None:
        return np.zeros(len(rows))
    cosine = bundle.session_item_vectors[rows] @ signals.session_vec
    return np.asarray(0.5 * np.maximum(cosine, 0.0) + 0.5 * _to_best(session_votes(signals, rows), len(rows)))


def session_votes(signals: Signals, rows: Rows) -> NDArray[np.floating]:
    """(C,) the session-kNN score of each row, 0 where no similar session has it."""
    if not len(signals.session_rows):
        return np.zeros(len(rows))
    order = np.argsort(signals.session_rows, kind="stable")
    known = signals.session_rows[order]
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[place] == rows, signals.session_scores[order][place], 0.0)


def _recent(signals: Signals, rows: Rows) -> NDArray[np.floating]:
    """1 for the item seen last, then 1/2, 1/3..., by distinct items."""
    newest_first = signals.seen.viewed[::-1]
    _, first = np.unique(newest_first, return_index=True)
    distinct = newest_first[np.sort(first)]  # newest first
    found = rows[:, None] == distinct[None, :]  # (C, L)
    return (
        np.where(found.any(axis=1), 1.0 / (1.0 + found.argmax(axis=1)), 0.0) if len(distinct) else np.zeros(len(rows))
    )


def _similar_content(bundle: Bundle, signals: Signals, rows: Rows) -> NDArray[np.floating]:
    if signals.search_scores is not None:
        return signals.search_scores[rows]
    if signals.subject is None:
        return np.zeros(len(rows))
    return np.asarray(content_of(bundle, rows) @ signals.subject)


def _in_category(bundle: Bundle, rows: Rows, category: str | None) -> NDArray[np.floating]:
    """Share of the category's best; items of the category that nobody bought get a little."""
    if not category:
        return np.zeros(len(rows))
    wanted = category.encode()
    codes, place = np.unique(bundle.items.category[rows], return_inverse=True)
    names = bundle.items.categories[codes].tolist()
    is_inside = np.array([name == wanted or name.startswith(wanted + b" > ") for name in names], bool)[place]
    found = context_counts(bundle.prior, f"category:{category}")
    counts = np.zeros(bundle.count_items, np.float32)
    if found is not None:
        counts[found.rows] = found.counts
    return np.where(is_inside, np.maximum(_to_best(counts[rows], len(rows)), 0.05), 0.0)


def _to_best(scores: NDArray[np.floating] | None, count: int) -> NDArray[np.floating]:
    """Scores as shares of the best one; zeros where there are none."""
    if scores is None or not count:
        return np.zeros(count)
    return scores / max(float(scores.max()), 1e-9)
