"""The baselines that the hybrid has to beat: every scorer gives all items of the catalogue a score.

`item_knn` adds up TF-IDF weighted cosines of the shopper's items, `ials` is implicit matrix factorisation (Hu, Koren,
Volinsky 2008), tuned before the test. Letters: M shoppers, I items, D factors, N rows of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles
from recommender.domain.serving.candidates import top_rows

from training_jobs.counting.lines import Lines

Scorer = Callable[[int], NDArray[np.floating]]  # shopper number (-1: unknown) -> (I,)
RECENT_DAYS = 28.0
NEIGHBOURS = 100
FEWEST_SHOPPERS = 3  # of an item in matrix methods
CONJUGATE_STEPS = 3


@dataclass(frozen=True, slots=True)
class Matrix:
    """Orders of each shopper (M) and item (I) before the cut, and when each was last."""

    orders: sp.csr_matrix
    last_on: sp.csr_matrix  # same pattern, days since the epoch
    now_days: float

    @property
    def popularity(self) -> Doubles:
        """(I,) shoppers who bought each item."""
        return np.bincount(self.orders.indices, minlength=self.orders.shape[1]).astype(np.float64)

    def entries(self, shopper: int) -> tuple[NDArray[np.int32], Doubles, Doubles]:
        """Items (N,), their orders (N,) and last days (N,) of a shopper; nothing for -1."""
        if shopper < 0:
            return np.empty(0, np.int32), np.empty(0), np.empty(0)
        span = slice(self.orders.indptr[shopper], self.orders.indptr[shopper + 1])
        return self.orders.indices[span], self.orders.data[span], self.last_on.data[span]


def matrix(lines: Lines, *, count_items: int, now_days: float) -> Matrix:
    """The lines as a shopper x item matrix."""
    key = lines.shopper.astype(np.int64) * count_items + lines.item
    cells, place = np.unique(key, return_inverse=True)
    last = np.zeros(len(cells))
    np.maximum.at(last, place, lines.days)
    shape = (len(lines.shopper_ids), count_items)
    indptr = np.searchsorted(cells // count_items, np.arange(shape[0] + 1))
    counts = np.bincount(place, minlength=len(cells)).astype(np.float64)
    columns = (cells % count_items).astype(np.int32)
    return Matrix(
        sp.csr_matrix((counts, columns, indptr), shape=shape),
        sp.csr_matrix((last, columns, indptr), shape=shape),
        now_days,
    )


def popular(data: Matrix) -> Scorer:
    """The same for everyone: the number of shoppers who bought the item."""
    scores = data.popularity
    return lambda shopper: scores


def popular_recent(lines: Lines, data: Matrix) -> Scorer:
    """The same for everyone: purchases of the newest RECENT_DAYS, ties by popularity."""
    recent = lines.item[lines.days >= data.now_days - RECENT_DAYS]
    scores = np.bincount(recent, minlength=data.orders.shape[1]) + 1e-6 * data.popularity
    return lambda shopper: scores


def own_frequency(data: Matrix) -> Scorer:
    """Orders that contained the item, ties by recency; items that the shopper never bought follow by popularity."""
    popularity = data.popularity / max(float(data.popularity.max(initial=1.0)), 1.0)

    def score(shopper: int) -> NDArray[np.floating]:
        items, orders, last_on = data.entries(shopper)
        scores = 1e-3 * popularity
        scores[items] += orders + 0.5 / (1.0 + np.maximum(data.now_days - last_on, 0.0))
        return scores

    return score


def item_knn(data: Matrix) -> Scorer:
    """Sum over the shopper's items of the cosine of the two items' TF-IDF weighted shoppers."""
    kept = np.flatnonzero(data.popularity >= FEWEST_SHOPPERS)
    owned = (data.orders[:, kept] > 0).astype(np.float32)  # (M, kept)
    size = np.asarray(owned.sum(axis=1)).ravel()
    by_shopper = sp.diags(np.log(max(len(kept), 1) / np.maximum(size, 1.0)).clip(min=0.0)) @ owned
    length = np.sqrt(np.asarray(by_shopper.multiply(by_shopper).sum(axis=0)).ravel())
    unit = (by_shopper @ sp.diags(1.0 / np.maximum(length, 1e-9))).astype(np.float32).tocsc()
    parts = [
        strongest_of_rows(_without_self(unit[:, at : at + 2048].T @ unit, at), NEIGHBOURS)
        for at in range(0, len(kept), 2048)
    ]
    votes = sp.csr_matrix(sp.vstack(parts).T) if parts else sp.csr_matrix((0, 0))

    def score(shopper: int) -> NDArray[np.floating]:
        scores = np.zeros(data.orders.shape[1])
        if shopper >= 0 and len(kept):
            weights = np.zeros(data.orders.shape[1])
            items, orders, _ = data.entries(shopper)
            weights[items] = np.log1p(orders)
            scores[kept] = votes @ weights[kept]
        return scores

    return score


@dataclass(frozen=True, slots=True)
class IalsSettings:
    """Factors, confidence of one purchase, weight of the ridge."""

    width: int = 64
    alpha: float = 4.0
    ridge: float = 4.0
    rounds: int = 6
    seed: int = 1


def ials(data: Matrix, settings: IalsSettings) -> Scorer:
    """Least squares with confidence 1 + alpha log(1 + 2 orders), by conjugate gradients on all rows at once."""
    kept = np.flatnonzero(data.popularity >= FEWEST_SHOPPERS)
    owned = data.orders[:, kept].tocsr()
    confidence = sp.csr_matrix(
        ((settings.alpha * np.log1p(2.0 * owned.data)).astype(np.float32), owned.indices, owned.indptr),
        shape=owned.shape,
    )
    rng = np.random.default_rng(settings.seed)
    shoppers = rng.normal(0, 0.1, (owned.shape[0], settings.width)).astype(np.float32)
    items = rng.normal(0, 0.1, (owned.shape[1], settings.width)).astype(np.float32)
    transposed = confidence.T.tocsr()
    for _ in range(settings.rounds):
        shoppers = _solve(confidence, items, shoppers, settings.ridge)
        items = _solve(transposed, shoppers, items, settings.ridge)
    shoppers = _solve(confidence, items, shoppers, settings.ridge)

    def score(shopper: int) -> NDArray[np.floating]:
        scores = np.full(data.orders.shape[1], -1.0)
        scores[kept] = items @ shoppers[shopper] if shopper >= 0 else 1e-6 * data.popularity[kept]
        return scores

    return score


def _solve(
    confidence: sp.csr_matrix, fixed: NDArray[np.float32], start: NDArray[np.float32], ridge: float
) -> NDArray[np.float32]:
    """Rows x with (Y'Y + Y' C_x Y + ridge) x = Y'(1 + C_x), a few conjugate gradient steps from `start`."""
    gram = fixed.T @ fixed + ridge * np.eye(fixed.shape[1], dtype=np.float32)
    rows = np.repeat(np.arange(confidence.shape[0]), np.diff(confidence.indptr))

    def apply(x: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = np.einsum("nd,nd->n", x[rows], fixed[confidence.indices])
        weighted = sp.csr_matrix(
            (confidence.data * seen, confidence.indices, confidence.indptr), shape=confidence.shape
        )
        return np.asarray(x @ gram + weighted @ fixed)

    wanted = sp.csr_matrix((1.0 + confidence.data, confidence.indices, confidence.indptr), shape=confidence.shape)
    x = start.copy()
    residual = np.asarray(wanted @ fixed) - apply(x)
    direction = residual.copy()
    size = (residual**2).sum(axis=1, keepdims=True)
    for _ in range(CONJUGATE_STEPS):
        applied = apply(direction)
        step = size / np.maximum((direction * applied).sum(axis=1, keepdims=True), 1e-12)
        x = x + step * direction
        residual = residual - step * applied
        fresh = (residual**2).sum(axis=1, keepdims=True)
        direction = residual + fresh / np.maximum(size, 1e-12) * direction
        size = fresh
    return x.astype(np.float32)


def strongest_of_rows(matrix: sp.spmatrix, count: int) -> sp.csr_matrix:
    """(N, I) with only the `count` largest entries above zero of each row of (N, I); ties by column."""
    matrix = sp.csr_matrix(matrix)
    matrix.sort_indices()
    columns, values, counts = [np.empty(0, np.int32)], [np.empty(0, matrix.dtype)], []
    # Row by row: sorting all entries of a block at once costs fifty times as much.
    for row in range(matrix.shape[0]):
        span = slice(matrix.indptr[row], matrix.indptr[row + 1])
        indices, entries = matrix.indices[span], matrix.data[span]
        best = top_rows(entries, count)
        best = np.sort(best[entries[best] > 0.0])
        columns.append(indices[best])
        values.append(entries[best])
        counts.append(len(best))
    ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return sp.csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=matrix.shape)


def _without_self(block: sp.spmatrix, first: int) -> sp.csr_matrix:
    """The likenesses of the items `first`.. to all items, each item's to itself set to zero."""
    block = sp.csr_matrix(block)
    of_row = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    block.data[block.indices == of_row + first] = 0.0
    return block
