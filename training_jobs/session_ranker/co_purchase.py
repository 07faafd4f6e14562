"""Items bought together: cosine over orders, damped so that a chance meeting of two rare items counts little.

score(i, j) = c_ij / sqrt((n_i + damping)(n_j + damping)), c_ij orders with both, n_i orders with i.
Letters: I items, K partners an item.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.domain.bundle import Neighbours
from recommender.errors import ArtifactRefused

PARTNERS = 50
DAMPING = 20.0
BLOCK = 1024  # items at a time: bounds the memory of the product
SCORE_BITS, ROW_BITS = 30, 24


def build_neighbours(
    items: NDArray[np.integer],
    groups: NDArray[np.integer],
    *,
    count_items: int,
    partners: int = PARTNERS,
    damping: float = DAMPING,
) -> Neighbours:
    """For each item its best partners over groups (orders, sessions); `items` and `groups` are parallel."""
    if count_items > 1 << ROW_BITS:
        raise ArtifactRefused(f"the catalogue has {count_items} items, expected at most {1 << ROW_BITS}")
    count_groups = int(groups.max()) + 1 if len(groups) else 1
    shape = (count_groups, count_items)
    together = sp.csr_matrix((np.ones(len(items), np.float32), (groups, items)), shape=shape)
    together.data[:] = 1.0  # an item twice in a group is once in it
    by_item = together.T.tocsr()  # (I, groups)
    damped = np.sqrt(np.diff(by_item.indptr) + damping).astype(np.float32)  # (I,)
    rows = np.full((count_items, partners), -1, np.int32)
    scores = np.zeros((count_items, partners), np.float32)
    for start in range(0, count_items, BLOCK):
        block = (by_item[start : start + BLOCK] @ together).tocsr()  # (BLOCK, I)
        _fill_best(block, start, damped, rows, scores)
    return Neighbours(rows, scores)


def _fill_best(
    block: sp.csr_matrix,
    start: int,
    damped: NDArray[np.float32],
    rows: NDArray[np.int32],
    scores: NDArray[np.float32],
) -> None:
    """Write the best partners of the block's items; ties go to the lower row.

    One sort of one integer a pair, because a sort by three columns takes ten times as long:
    10 bits of the item in the block, 30 bits of the score (a float in [0, 1], whose bits order as it does; smaller
    is better), 24 bits of the partner.
    """
    of_item = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    other = block.indices
    cosine = (block.data / (damped[start + of_item] * damped[other])).astype(np.float32)
    is_other = other != start + of_item
    of_item, other, cosine = of_item[is_other], other[is_other], cosine[is_other]
    badness = (1 << SCORE_BITS) - 1 - cosine.view(np.uint32).astype(np.uint64)
    keys = (of_item.astype(np.uint64) << np.uint64(SCORE_BITS + ROW_BITS)) | (badness << np.uint64(ROW_BITS))
    keys = np.sort(keys | other.astype(np.uint64))
    of_item = (keys >> np.uint64(SCORE_BITS + ROW_BITS)).astype(np.int64)
    rank = np.arange(len(keys)) - np.searchsorted(of_item, np.arange(block.shape[0]))[of_item]
    best = rank < rows.shape[1]
    keys, of_item, rank = keys[best], of_item[best], rank[best]
    badness = (keys >> np.uint64(ROW_BITS)) & np.uint64((1 << SCORE_BITS) - 1)
    rows[start + of_item, rank] = (keys & np.uint64((1 << ROW_BITS) - 1)).astype(np.int32)
    scores[start + of_item, rank] = ((1 << SCORE_BITS) - 1 - badness).astype(np.uint32).view(np.float32)
