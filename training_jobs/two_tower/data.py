"""The training data of the towers: purchases in order of time, histories as serving sends them, and first item vectors.

A history holds distinct items, the last one bought at the end, with the weights of serving
(recommender.domain.serving.visitor). The item vectors start from the singular vectors of the shopper x item matrix,
each entry divided by sqrt(items of the shopper + 1) sqrt(shoppers of the item + damping); from there gradient steps
need a tenth of the time of a random start and, on small shops, end higher. Letters: M shoppers, N entries (shopper,
item), E purchase lines, I items, D width, T texts, C content width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.domain.models.arrays import Counts, Doubles, Floats, Rows
from recommender.domain.models.bundle import ItemTable
from recommender.domain.serving.visitor import TOWER_HALF_LIFE_DAYS

from training_jobs.counting.discovery import leading_directions
from training_jobs.counting.lines import Histories, Lines

FEWEST_ITEMS = 2  # of a shopper, to learn from: one to show, one as the target
STEPWISE = 0.8  # orders a line from which on purchases are read as a sequence of single items
DAMPING = 10.0
ITERATIONS = 4
SHOPPERS = 200_000  # sampled beyond that
FULL_WEIGHT = 20.0  # shoppers of an item from which on its vector has full length
LENGTH = 0.5  # of a full vector


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The inputs of the item tower for each item."""

    content_vectors: Floats  # (T, C)
    content_row: Rows  # (I,)
    codes: tuple[Rows, ...]  # category, department, brand: (I,) each

    @property
    def informative_codes(self) -> tuple[Rows, ...]:
        """Codes (I,) that differ between items; one that all share would only push every vector the same way."""
        return tuple(codes for codes in self.codes if len(codes) and np.ptp(codes))

    @property
    def is_uninformative(self) -> bool:
        """Whether all items have the same content, so that none can live by it."""
        rows = np.unique(self.content_row)
        has_texts = len(rows) > 1 and bool(np.ptp(self.content_vectors[rows], axis=0).any())
        return not has_texts and not self.informative_codes


@dataclass(frozen=True, slots=True)
class Timeline:
    """Purchase lines of all shoppers, flat, each shopper's in order of time."""

    offsets: Counts  # (M + 1,) into the lines
    items: Rows  # (E,)
    days: Doubles  # (E,)
    orders: NDArray[np.int64]  # (E,) equal for the lines of one order

    def of(self, shopper: int) -> slice:
        """The lines of a shopper."""
        return slice(int(self.offsets[shopper]), int(self.offsets[shopper + 1]))

    @property
    def is_stepwise(self) -> bool:
        """Whether nearly every order is a single item, so that its place in the sequence shows what came before."""
        changes = int((np.diff(self.orders) != 0).sum()) + 1 if len(self.orders) else 0
        return changes >= STEPWISE * len(self.orders)


@dataclass(frozen=True, slots=True)
class Purchases:
    """Entries of all shoppers, flat, oldest first, with the weight each has in a history; and the lines behind them."""

    offsets: Counts  # (M + 1,) into the entries
    items: Rows  # (N,)
    weights: Floats  # (N,)
    count_items: int
    lines: Timeline | None = None  # None: every entry was bought once, one after the other

    @property
    def timeline(self) -> Timeline:
        """The lines, or the entries as lines."""
        if self.lines is not None:
            return self.lines
        return Timeline(self.offsets, self.items, np.zeros(len(self.items)), np.arange(len(self.items)))

    @property
    def popularity(self) -> NDArray[np.float64]:
        """(I,) shoppers who bought the item."""
        return np.bincount(self.items, minlength=self.count_items).astype(np.float64)

    def of(self, shopper: int) -> slice:
        """The entries of a shopper."""
        return slice(int(self.offsets[shopper]), int(self.offsets[shopper + 1]))


def catalogue(items: ItemTable, content_vectors: Floats) -> Catalogue:
    """The item tower's inputs; `content_vectors` (T, C)."""
    return Catalogue(content_vectors, items.content_row, (items.category, items.department, items.brand))


def purchases(histories: Histories, lines: Lines, *, now_days: float, count_items: int) -> Purchases:
    """The entries in the order and with the weights that serving gives them as of `now_days`."""
    shopper = np.repeat(np.arange(len(histories.offsets) - 1), np.diff(histories.offsets))
    order = np.lexsort((histories.rows, histories.last_on, shopper))
    age = np.maximum(now_days - histories.last_on[order], 0.0)
    weights = history_weights(histories.orders[order], age)
    return Purchases(histories.offsets, histories.rows[order], weights, count_items, timeline(lines))


def timeline(lines: Lines) -> Timeline:
    """The lines by shopper; equal times by order, then by item."""
    order = np.lexsort((lines.item, lines.order, lines.days, lines.shopper))
    offsets = np.searchsorted(lines.shopper[order], np.arange(len(lines.shopper_ids) + 1)).astype(np.int64)
    return Timeline(offsets, lines.item[order], lines.days[order], lines.order[order].astype(np.int64))


def history_weights(orders: NDArray[np.integer], age_days: NDArray[np.floating]) -> Floats:
    """(N,) log(1 + orders) 0.5 ** (age / half-life) of orders (N,) and ages (N,), as domain.visitor.tower_input."""
    weights: Floats = (np.log1p(orders) * np.exp2(-age_days / TOWER_HALF_LIFE_DAYS)).astype(np.float32)
    return weights


def learnable(data: Purchases) -> NDArray[np.int64]:
    """(N,) shoppers with enough items to show some and keep others as targets."""
    return np.flatnonzero(np.diff(data.timeline.offsets) >= FEWEST_ITEMS)


def spectral_vectors(data: Purchases, width: int, rng: np.random.Generator) -> Floats:
    """(I, D) vectors of length at most LENGTH, shorter for items that few bought, zero for items nobody bought."""
    matrix = _scaled(data, rng)
    basis, _, values, right = leading_directions(matrix, width, rng, rounds=ITERATIONS)
    kept = min(width, len(values))
    found = (basis @ right[:kept].T) * np.sqrt(values[:kept])  # (I, kept)
    unit = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    known = np.sqrt(np.minimum(data.popularity / FULL_WEIGHT, 1.0))  # (I,)
    vectors = np.zeros((data.count_items, width), np.float32)
    vectors[:, :kept] = unit * (LENGTH * known[:, None])
    return vectors


def _scaled(data: Purchases, rng: np.random.Generator) -> sp.csr_matrix:
    count = len(data.offsets) - 1
    matrix = sp.csr_matrix(
        (np.ones(len(data.items)), data.items, data.offsets), shape=(count, data.count_items), dtype=np.float64
    )
    if count > SHOPPERS:
        matrix = matrix[np.sort(rng.choice(count, SHOPPERS, replace=False))]
    by_shopper = 1.0 / np.sqrt(1.0 + np.asarray(matrix.sum(axis=1)).ravel())
    by_item = 1.0 / np.sqrt(DAMPING + np.asarray(matrix.sum(axis=0)).ravel())
    return sp.diags(by_shopper) @ matrix @ sp.diags(by_item)
