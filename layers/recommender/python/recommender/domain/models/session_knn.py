"""Session-kNN in numpy: recent sessions like this one vote for what comes next (VSTAN).

Query: the items of the visit, each at its last position pos = 1..L, with weight p = exp((pos - L) / position).
1. Candidates are the `sample` newest sessions that share an item. A session s is as similar as
   sum of p over shared items / (|p| sqrt(distinct items of s)) * exp(-age in days / recency); the k best stay.
2. Each of them gives every item j it contains
   similarity * exp(-|r_j - r*| / distance) * (1 + idf_weight idf_j) * exp((b - L) / shared),
   r_j: place of j in s; r*: place in s of its last item that the visit has; b: newest position of a shared item.
Source: Garg et al. 2019 (STAN), session-rec's VSTAN. A session keeps each item once, at its last click.

Letters: I items, S sessions in time order, N their distinct clicks, L the length of the visit.

Decisions: docs/decisions/next-item.md (032, 093).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Counts, Doubles, Floats, Rows

MAX_QUERY: Final = 30  # older clicks weigh exp(-15): nothing
POSTINGS_PER_ITEM: Final = 2000
NEIGHBOURS: Final = 500  # k
SAMPLED: Final = 2000  # newest sessions of each item, and of the visit's items together


@dataclass(frozen=True, slots=True)
class KnnSettings:
    """Decay of each kind of evidence; larger is slower. Names as in the module's formulas."""

    position: float = 2.0
    recency_days: float = 100.0
    distance: float = 10.0
    shared: float = 10.0
    idf_weight: float = 10.0


DEFAULT_SETTINGS: Final = KnnSettings()


@dataclass(frozen=True, slots=True)
class SessionIndex:
    """Posting lists both ways, with the settings chosen for them. S sessions in time order, N their clicks."""

    item_offsets: Counts  # (I + 1,) into item_sessions
    item_sessions: Rows  # sessions that contain the item, newest first
    session_offsets: Counts  # (S + 1,) into session_items
    session_items: Rows  # (N,) items in order of their last click, each once a session
    session_days: Floats  # (S,) end of the session, in days
    idf: Floats  # (I,)
    position: float = DEFAULT_SETTINGS.position
    recency_days: float = DEFAULT_SETTINGS.recency_days
    distance: float = DEFAULT_SETTINGS.distance
    shared: float = DEFAULT_SETTINGS.shared
    idf_weight: float = DEFAULT_SETTINGS.idf_weight

    @property
    def settings(self) -> KnnSettings:
        """The settings in force."""
        return KnnSettings(self.position, self.recency_days, self.distance, self.shared, self.idf_weight)

    def with_settings(self, settings: KnnSettings) -> SessionIndex:
        """The same sessions under other settings."""
        return replace(self, **asdict(settings))


def build_index(
    session_offsets: NDArray[np.integer],
    items: NDArray[np.integer],
    session_days: NDArray[np.floating],
    *,
    count_items: int,
    postings_per_item: int = POSTINGS_PER_ITEM,
) -> SessionIndex:
    """Index S sessions given as flat item rows with offsets (S + 1,) and the day each ended (S,), in any order."""
    order = np.argsort(session_days, kind="stable")  # (S,)
    sizes = np.diff(session_offsets)[order]
    clicks = items[_ranges(np.asarray(session_offsets[:-1])[order], sizes)]
    of_session = np.repeat(np.arange(len(order)), sizes)
    clicks, of_session = _last_click_only(clicks, of_session, count_items)
    newest_first = np.lexsort((-of_session, clicks))
    offsets = _offsets(clicks, count_items)
    rank = np.arange(len(clicks)) - np.repeat(offsets[:-1], np.diff(offsets))
    kept = rank < postings_per_item
    holders = np.diff(offsets)  # (I,) sessions with the item
    return SessionIndex(
        item_offsets=_offsets(clicks[newest_first][kept], count_items),
        item_sessions=of_session[newest_first][kept].astype(np.int32),
        session_offsets=_offsets(of_session, len(order)),
        session_items=clicks.astype(np.int32),
        session_days=np.asarray(session_days)[order].astype(np.float32),
        idf=np.log(max(len(order), 1) / np.maximum(holders, 1)).astype(np.float32),
    )


def session_scores(
    index: SessionIndex,
    rows: NDArray[np.integer],
    *,
    now_days: float,
    k: int = NEIGHBOURS,
    sample: int = SAMPLED,
    limit: int = 500,
    settings: KnnSettings | None = None,
) -> tuple[Rows, Floats]:
    """Score the items of similar sessions: up to `limit` item rows and scores > 0, best first, ties by row.

    `settings` take the place of the index's own.
    `rows` are the item rows of the visit in order, repeats kept; negative (unknown) ones are passed over.
    """
    settings = settings or index.settings
    query, positions, length = _query(rows)
    if not len(query):
        return np.empty(0, np.int32), np.empty(0, np.float32)
    weights = np.exp((positions - length) / settings.position)  # (L,) p
    sessions, similarity = _neighbours(index, query, weights, now_days=now_days, sample=sample, settings=settings)
    if len(sessions) > k:
        best = np.argpartition(-similarity, k - 1)[:k]
        sessions, similarity = sessions[best], similarity[best]
    found, scores = _votes(index, sessions, similarity, query, positions, length=length, settings=settings)
    if len(found) > limit:
        best = np.argpartition(-scores, limit - 1)[:limit]
        found, scores = found[best], scores[best]
    order = np.lexsort((found, -scores))
    return found[order].astype(np.int32), scores[order].astype(np.float32)


def _query(rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], Doubles, int]:
    """Distinct items sorted by row, the last position of each (1..L), and L."""
    visit = np.asarray(rows, np.int64)
    visit = visit[visit >= 0][-MAX_QUERY:]
    order = np.argsort(visit, kind="stable")  # by item, then by time
    items = visit[order]
    is_last = np.ones(len(items), bool)
    is_last[:-1] = items[1:] != items[:-1]
    return items[is_last], (order[is_last] + 1).astype(np.float64), len(visit)


def _neighbours(
    index: SessionIndex,
    query: NDArray[np.int64],
    weights: Doubles,
    *,
    now_days: float,
    sample: int,
    settings: KnnSettings,
) -> tuple[NDArray[np.int64], Doubles]:
    """The newest sessions that share an item, and their similarity."""
    starts = index.item_offsets[query]
    sizes = np.minimum(index.item_offsets[query + 1] - starts, sample)
    postings = index.item_sessions[_ranges(starts, sizes)]
    found, overlap = _sums(postings, np.repeat(weights, sizes))
    sessions, overlap = found[-sample:].astype(np.int64), overlap[-sample:]  # numbers rise with time
    lengths = index.session_offsets[sessions + 1] - index.session_offsets[sessions]
    ages = np.maximum(now_days - index.session_days[sessions], 0.0)
    norm = float(np.sqrt((weights**2).sum()))
    similarity: Doubles = overlap / (norm * np.sqrt(lengths)) * np.exp(-ages / settings.recency_days)
    return sessions, similarity


def _votes(
    index: SessionIndex,
    sessions: NDArray[np.int64],
    similarity: Doubles,
    query: NDArray[np.int64],
    positions: Doubles,
    *,
    length: int,
    settings: KnnSettings,
) -> tuple[NDArray[np.int64], Doubles]:
    """Items of the neighbours and the sum of the votes for each."""
    starts = index.session_offsets[sessions]
    sizes = index.session_offsets[sessions + 1] - starts
    items = index.session_items[_ranges(starts, sizes)].astype(np.int64)  # all clicks of all neighbours
    firsts = np.cumsum(sizes) - sizes
    place = np.arange(len(items)) - np.repeat(firsts, sizes)  # r_j
    nearest = np.minimum(np.searchsorted(query, items), len(query) - 1)
    is_shared = query[nearest] == items
    last_shared = np.maximum.reduceat(np.where(is_shared, place, 0), firsts)  # r*
    newest = np.maximum.reduceat(np.where(is_shared, positions[nearest], 0.0), firsts)  # b
    vote = similarity * np.exp((newest - length) / settings.shared)
    gap = np.abs(place - np.repeat(last_shared, sizes))
    idf = 1.0 + settings.idf_weight * index.idf[items]
    votes = np.repeat(vote, sizes) * np.exp(-gap / settings.distance) * idf
    return _sums(items, votes)


def _sums(keys: NDArray[np.integer], values: Doubles) -> tuple[NDArray[np.int64], Doubles]:
    """The distinct keys, sorted, and the sum of the values of each: np.unique and np.bincount in half the time."""
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0)
    order = np.argsort(keys)
    ordered = keys[order]
    is_first = np.ones(len(keys), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    sums: Doubles = np.add.reduceat(values[order], starts)
    return ordered[starts].astype(np.int64), sums


def _last_click_only(
    clicks: NDArray[np.integer], of_session: NDArray[np.integer], count_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    key = of_session.astype(np.int64) * count_items + clicks
    _, from_end = np.unique(key[::-1], return_index=True)
    kept = np.sort(len(key) - 1 - from_end)
    return clicks[kept].astype(np.int64), of_session[kept].astype(np.int64)


def _offsets(groups: NDArray[np.integer], count: int) -> Counts:
    """(count + 1,) where each group starts, for group numbers in any order."""
    return np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=count))]).astype(np.int64)


def _ranges(starts: NDArray[np.integer], sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    """The indices start..start+size-1 of each range, joined."""
    total = int(sizes.sum())
    firsts = np.cumsum(sizes) - sizes
    joined: NDArray[np.int64] = np.arange(total, dtype=np.int64) + np.repeat(starts - firsts, sizes)
    return joined
