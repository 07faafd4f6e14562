"""What the towers learn from: each shopper's distinct items, and random splits of them into shown and hidden.

A training example shows the user tower a random half of what a shopper has bought and asks for the other half
(a denoising autoencoder's task), weighted exactly as serving weighs a history (recommender.domain.visitor).
Letters: M shoppers, N entries (shopper, item), B shoppers of a batch, L items shown, P items asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Counts, Floats, Rows
from recommender.domain.bundle import ItemTable
from recommender.domain.visitor import TOWER_HALF_LIFE_DAYS

from training_jobs.session_ranker.histories import Histories

FEWEST_ITEMS = 4  # of a shopper, to learn from


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the item tower reads of each item."""

    content_vectors: Floats  # (T, C)
    content_row: Rows  # (I,)
    codes: tuple[Rows, ...]  # category, department, brand: (I,) each


@dataclass(frozen=True, slots=True)
class Purchases:
    """Entries of all shoppers, flat, with the weight each has in a history."""

    offsets: Counts  # (M + 1,) into the entries
    items: Rows  # (N,)
    weights: Floats  # (N,)
    count_items: int

    @property
    def popularity(self) -> NDArray[np.float64]:
        """(I,) shoppers who bought the item."""
        return np.bincount(self.items, minlength=self.count_items).astype(np.float64)

    def of(self, shopper: int) -> slice:
        """The entries of a shopper."""
        return slice(int(self.offsets[shopper]), int(self.offsets[shopper + 1]))


@dataclass(frozen=True, slots=True)
class Batch:
    """Histories and targets, padded with item 0 at weight 0."""

    history: NDArray[np.int64]  # (B, L)
    weights: Floats  # (B, L)
    targets: NDArray[np.int64]  # (B, P)
    is_target: Floats  # (B, P)


def catalogue(items: ItemTable, content_vectors: Floats) -> Catalogue:
    """The item tower's inputs."""
    return Catalogue(content_vectors, items.content_row, (items.category, items.department, items.brand))


def purchases(histories: Histories, *, now_days: float, count_items: int) -> Purchases:
    """The entries with their weights as of `now_days`."""
    age = np.maximum(now_days - histories.last_on, 0.0)
    weights = np.log1p(histories.orders) * np.exp2(-age / TOWER_HALF_LIFE_DAYS)
    return Purchases(histories.offsets, histories.rows, weights.astype(np.float32), count_items)


def draw_batch(
    data: Purchases,
    eligible: NDArray[np.integer],
    rng: np.random.Generator,
    *,
    size: int,
    shown: int,
    asked: int,
    share_shown: float = 0.5,
) -> Batch:
    """`size` shoppers, each with a random `share_shown` of its items as history and others as targets."""
    history = np.zeros((size, shown), np.int64)
    weights = np.zeros((size, shown), np.float32)
    targets = np.zeros((size, asked), np.int64)
    is_target = np.zeros((size, asked), np.float32)
    for n, shopper in enumerate(rng.choice(eligible, size)):
        span = data.of(int(shopper))
        items, weight = data.items[span], data.weights[span]
        order = rng.permutation(len(items))
        split = min(max(rng.binomial(len(items), share_shown), 1), len(items) - 1)
        seen, hidden = order[:split][:shown], order[split:][:asked]
        history[n, : len(seen)], weights[n, : len(seen)] = items[seen], weight[seen]
        targets[n, : len(hidden)], is_target[n, : len(hidden)] = items[hidden], 1.0
    return Batch(history, weights, targets, is_target)


def learnable(data: Purchases) -> NDArray[np.int64]:
    """Shoppers with enough items to show some and ask for others."""
    return np.flatnonzero(np.diff(data.offsets) >= FEWEST_ITEMS)
