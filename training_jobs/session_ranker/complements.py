"""Lifts between categories, counted over orders. Letters: Q categories, K of them that are sold most, O orders."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from recommender.domain.arrays import Rows
from recommender.domain.complements import Complements

from training_jobs.session_ranker.lines import Lines, count_by

MOST_CATEGORIES = 2000  # 8 MB of 16-bit lifts
EVIDENCE = 5.0  # orders that hold a lift at 0


def build_complements(lines: Lines, category: Rows, *, count_categories: int) -> Complements:
    """Lifts of the categories (codes of items: `category` (I,)) that most lines are of."""
    of_line = category[lines.item]
    sold = count_by(of_line, None, count_categories)
    kept = np.argsort(-sold, kind="stable")[: min(MOST_CATEGORIES, int((sold > 0).sum()))]
    place = np.full(count_categories, -1, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    told = place[of_line] >= 0
    cells = (lines.order[told], place[of_line[told]])
    shape = (max(lines.count_orders, 1), len(kept))
    counts = sp.csr_matrix((np.ones(int(told.sum()), np.float32), cells), shape=shape)  # (O, K) items
    counts.sum_duplicates()
    twice = np.asarray((counts > 1).sum(axis=0), np.float64).ravel()
    counts.data[:] = 1.0
    together = np.asarray((counts.T @ counts).todense(), np.float64)  # (K, K)
    orders = together.diagonal().copy()
    np.fill_diagonal(together, twice)
    expected = np.outer(orders, orders) / max(lines.count_orders, 1)
    return Complements(place, np.log((together + EVIDENCE) / (expected + EVIDENCE)).astype(np.float16))
