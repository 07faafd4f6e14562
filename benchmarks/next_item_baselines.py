"""The baselines of the next-item benchmark; each returns the same kind of answer as the product's own model.

popular: clicks in train. popular_recent: clicks faded by half every week of the files' nominal time. item_knn: the last
item's neighbours by damped cosine over sessions. markov: what followed the last item, by count.
session_popular: what the visit clicked most, the rest by popularity in train.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.domain.arrays import Floats, Rows
from recommender.domain.prior import build_prior, decay

from benchmarks.next_item_data import NextItemData
from training_jobs.session_ranker.co_purchase import build_neighbours
from training_jobs.session_ranker.prefixes import LISTED, Answers, Prefixes, collect

RECENT_HALF_LIFE_DAYS = 7.0


def popular(data: NextItemData, prefixes: Prefixes) -> Answers:
    """The same list for everybody: most clicked in train."""
    counts = np.bincount(data.train.items, minlength=data.count_items)
    return _same_list(counts, len(prefixes))


def popular_recent(data: NextItemData, prefixes: Prefixes) -> Answers:
    """The same list for everybody: the prior's popularity x recency."""
    ages = data.days[-1] - np.repeat(data.days, np.diff(data.train.offsets))
    faded = np.bincount(data.train.items, decay(ages, half_life_days=RECENT_HALF_LIFE_DAYS), minlength=data.count_items)
    prior = build_prior(faded.astype(np.float64))
    return _same_list(np.exp(prior.log_share.astype(np.float64)), len(prefixes))


def item_knn(data: NextItemData, prefixes: Prefixes) -> Answers:
    """Neighbours of the last item over sessions, by the builder of the co-purchase lists."""
    sessions = np.repeat(np.arange(len(data.train)), np.diff(data.train.offsets))
    found = build_neighbours(data.train.items, sessions, count_items=data.count_items, partners=LISTED)
    return _after_last(prefixes, found.rows, found.scores)


def markov(data: NextItemData, prefixes: Prefixes) -> Answers:
    """What came right after the last item in train, by how often."""
    items, starts = data.train.items, data.train.offsets[1:-1]
    is_first = np.zeros(len(items), bool)
    is_first[starts[starts < len(items)]] = True
    before, after = items[:-1][~is_first[1:]], items[1:][~is_first[1:]]
    shape = (data.count_items, data.count_items)
    counts = sp.csr_matrix((np.ones(len(before), np.float32), (before, after)), shape=shape)
    rows = np.full((data.count_items, LISTED), -1, np.int32)
    scores = np.zeros((data.count_items, LISTED), np.float32)
    for row in np.unique(before):
        span = slice(counts.indptr[row], counts.indptr[row + 1])
        order = np.lexsort((counts.indices[span], -counts.data[span]))[:LISTED]
        rows[row, : len(order)] = counts.indices[span][order]
        scores[row, : len(order)] = counts.data[span][order]
    return _after_last(prefixes, rows, scores)


def session_popular(data: NextItemData, prefixes: Prefixes) -> Answers:
    """The visit's items by clicks, the newest first of equals, and popularity behind them (S-POP)."""
    filler = popular(data, prefixes.take(np.arange(1))).rows[0]
    lists = []
    for number in range(len(prefixes)):
        newest_first = prefixes.visit(number)[::-1]
        items, since, counts = np.unique(newest_first[newest_first >= 0], return_index=True, return_counts=True)
        own = items[np.lexsort((since, -counts))]
        rows = np.concatenate([own, filler[~np.isin(filler, own)]])[:LISTED]
        lists.append((rows, np.arange(len(rows), 0.0, -1.0)))
    return collect(lists)


def _same_list(worth: NDArray[np.number], count: int) -> Answers:
    best = np.lexsort((np.arange(len(worth)), -worth))[:LISTED]
    rows, scores = best.astype(np.int32), worth[best].astype(np.float32)
    return Answers(np.tile(rows, (count, 1)), np.tile(scores, (count, 1)))


def _after_last(prefixes: Prefixes, rows: Rows, scores: Floats) -> Answers:
    """The list of each prefix's last known item; empty where none is known."""
    newest = prefixes.newest(int(prefixes.lengths.max(initial=1)))  # (N, L)
    known = newest >= 0
    last = newest.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    item = newest[np.arange(len(newest)), last]  # (N,) -1 where nothing is known
    is_known = item[:, None] >= 0
    return Answers(np.where(is_known, rows[item], -1), np.where(is_known, scores[item], 0.0).astype(np.float32))
