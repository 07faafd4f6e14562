"""Draws training examples and negatives for the towers, and computes the loss of a batch.

Where an order is one item (*prefixes*), a window of the sequence is read once and every item in it is a target after
those before it. Where orders are baskets (*moments*), a shopper at a random moment of the past has the purchases of the
next weeks as targets, with the history that serving would have sent. A batch is a function of (seed, rank, step), so a
resumed run needs no state of it. The loss is the softmax of the target against shared negatives, mean over p of
log(exp(s_pp) + sum_k exp(s_pk - log expected_k)) - s_pp with s = u . e / temperature. Negatives from the batch's
targets sharpen the head, uniform ones push down the tail; `expected_k`, how often item k is expected among both (logQ
correction), makes the sum an estimate of the softmax over the whole catalogue. Letters: B histories, L their length, P
pairs (position, target), A positions with a target, K negatives, I items, D width, M shoppers, W windows.

Decisions: docs/decisions/shopper-model.md (096).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from torch import Tensor

from training_jobs.next_item.encoder import sampled_softmax_loss
from training_jobs.next_item.encoder_training import batches_of_like_length
from training_jobs.two_tower.data import Purchases, Timeline, history_weights, learnable
from training_jobs.two_tower.model import RECENT, TwoTower

WINDOW_DAYS = 28.0  # after the moment, in which a purchase is a target
OVERLAP = 10.0  # orders of such a window: an epoch has every line as a target about once
ONCE = history_weights(np.ones(1, np.int64), np.zeros(1))[0]  # weight of an item bought once, today


@dataclass(frozen=True, slots=True)
class Batch:
    """Histories padded on the left with item 0 at weight 0, and the pairs to learn."""

    history: NDArray[np.int64]  # (B, L)
    weights: Floats  # (B, L)
    row: NDArray[np.int64]  # (P,) the history of each pair
    place: NDArray[np.int64]  # (P,) its position, counted from the end: -1 is after the whole history
    wanted: NDArray[np.int64]  # (P,) item rows
    name: str

    @property
    def answered(self) -> int:
        """The number of last positions with a target."""
        return -int(self.place.min(initial=-1))


@dataclass(frozen=True, slots=True)
class Drawing:
    """The sizes of the batches; `rank` of `ranks` processes draws its share of each step."""

    targets: int = 512  # wanted items of a step by prefixes
    moments: int = 128  # histories of a step by moments
    shown: int = 256  # items of such a history at most
    wanted: int = 24  # targets of such a moment at most
    seed: int = 1
    rank: int = 0
    ranks: int = 1


class Prefixes:
    """Every item after a shopper's first, as the target of the items before it."""

    def __init__(self, data: Purchases, drawing: Drawing) -> None:
        self._lines, self._drawing = data.timeline, drawing
        self.targets = max(drawing.targets // drawing.ranks, 1)  # of a batch, about
        self._windows = _windows(self._lines)
        wanted = int((self._windows[:, 1] - 1).sum())
        self.steps_an_epoch = max(1, round(wanted / drawing.targets))
        self._epoch, self._batches = -1, list[NDArray[np.int64]]()

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        epoch, number = divmod(step, self.steps_an_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self._drawing.seed, epoch])
            self._epoch = epoch
            self._batches = batches_of_like_length(self._windows[:, 1], self._drawing.targets, rng)
        chosen = self._batches[number % len(self._batches)][self._drawing.rank :: self._drawing.ranks]
        return self._padded(self._windows[chosen], f"{step} (epoch {epoch})")

    def _padded(self, spans: NDArray[np.int64], name: str) -> Batch:
        longest = int(spans[:, 1].max(initial=2))
        steps = np.arange(longest) - longest  # (L + 1,) from the end
        place = spans.sum(axis=1)[:, None] + steps  # (B, L + 1) into the lines
        inside = steps >= -spans[:, 1:]  # (B, L + 1)
        items = np.where(inside, self._lines.items[np.where(inside, place, 0)], 0).astype(np.int64)
        days = self._lines.days[np.where(inside, place, 0)]
        last = self._lines.days[spans.sum(axis=1) - 1][:, None]
        weights = np.where(inside, history_weights(np.ones(1, np.int64), np.maximum(last - days, 0.0)), 0.0)
        row, column = np.nonzero(inside[:, :-1])
        return Batch(
            items[:, :-1],
            weights[:, :-1].astype(np.float32),
            row,
            column - (longest - 1),
            items[row, column + 1],
            name,
        )


class Moments:
    """Shoppers at random moments of the past."""

    def __init__(self, data: Purchases, drawing: Drawing) -> None:
        self._lines, self._drawing = data.timeline, drawing
        self._shoppers = learnable(data)
        sizes = np.diff(self._lines.offsets)[self._shoppers].astype(np.float64)
        # A long history holds more moments than a short one, but is still one shopper: the root lies between.
        self._cumulative = np.cumsum(np.sqrt(sizes) / np.sqrt(sizes).sum())
        self.targets = max(drawing.moments // drawing.ranks, 1) * drawing.wanted
        orders = int((np.diff(self._lines.orders) != 0).sum()) + 1
        self.steps_an_epoch = max(1, round(orders / (OVERLAP * drawing.moments)))

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        drawing = self._drawing
        rng = np.random.default_rng([drawing.seed, drawing.rank, step])
        examples = [self._example(rng) for _ in range(max(drawing.moments // drawing.ranks, 1))]
        longest = max(len(items) for items, _, _ in examples)
        history = np.zeros((len(examples), longest), np.int64)
        weights = np.zeros((len(examples), longest), np.float32)
        for n, (items, weight, _) in enumerate(examples):
            history[n, longest - len(items) :], weights[n, longest - len(items) :] = items, weight
        sizes = [len(wanted) for _, _, wanted in examples]
        row = np.repeat(np.arange(len(examples)), sizes)
        wanted = np.concatenate([wanted for _, _, wanted in examples]).astype(np.int64)
        return Batch(history, weights, row, np.full(len(row), -1), wanted, str(step))

    def _example(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
        drawn = int(np.searchsorted(self._cumulative, rng.random()))
        shopper = int(self._shoppers[min(drawn, len(self._shoppers) - 1)])
        span = self._lines.of(shopper)
        items, days, orders = self._lines.items[span], self._lines.days[span], self._lines.orders[span]
        moment = _moment(orders, rng)
        until = int(np.searchsorted(days, days[moment] + WINDOW_DAYS, side="right"))
        wanted = np.unique(items[moment:until]).astype(np.int64)
        if len(wanted) > self._drawing.wanted:
            wanted = rng.choice(wanted, self._drawing.wanted, replace=False)
        rows, weights = history_at(items[:moment], days[:moment], float(days[moment]), self._drawing.shown)
        return rows, weights, wanted


def draw(data: Purchases, drawing: Drawing) -> Prefixes | Moments:
    """The kind of examples that suits the data."""
    return Prefixes(data, drawing) if data.timeline.is_stepwise else Moments(data, drawing)


def _moment(orders: NDArray[np.int64], rng: np.random.Generator) -> int:
    """Where an order begins, not the first one; within the order where there is no other."""
    drawn = int(rng.integers(1, len(orders)))
    starts = np.flatnonzero(np.diff(orders)) + 1
    return int(starts[max(int(np.searchsorted(starts, drawn, side="right")) - 1, 0)]) if len(starts) else drawn


def history_at(
    items: NDArray[np.integer], days: NDArray[np.floating], now_days: float, most: int
) -> tuple[NDArray[np.int64], Floats]:
    """The history that serving would send at a moment: distinct items by last purchase, the heaviest `most`.

    `items` (N,) were bought on `days` (N,); returns rows and weights, (L,) each.
    """
    rows, last, orders = np.unique(items[::-1], return_index=True, return_counts=True)
    last_on = days[len(items) - 1 - last]
    weights = history_weights(orders, np.maximum(now_days - last_on, 0.0))
    kept = np.argpartition(-weights, most)[:most] if len(rows) > most else np.arange(len(rows))
    kept = kept[np.lexsort((rows[kept], last_on[kept]))]
    return rows[kept].astype(np.int64), weights[kept]


def _windows(lines: Timeline) -> NDArray[np.int64]:
    """(W, 2) start and length of pieces of at most RECENT + 1 lines of one shopper, the newest piece full."""
    starts, sizes = lines.offsets[:-1], np.diff(lines.offsets)
    pieces = -(-np.maximum(sizes - 1, 0) // RECENT)  # (M,)
    of_shopper = np.repeat(np.arange(len(sizes)), pieces)
    number = np.arange(len(of_shopper)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    stop = sizes[of_shopper] - number * RECENT  # from the newest back
    first = np.maximum(stop - RECENT - 1, 0)
    return np.stack([starts[of_shopper] + first, stop - first], axis=1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Negatives:
    """Draws negatives for a batch and knows how often each item is expected among them."""

    log_expected: Floats  # (I,)
    from_batch: int
    uniform: int

    def draw(self, batch: Batch, rng: np.random.Generator) -> NDArray[np.int64]:
        """(K,) item rows."""
        return np.concatenate(
            [
                rng.choice(batch.wanted, self.from_batch) if len(batch.wanted) else np.empty(0, np.int64),
                rng.integers(0, len(self.log_expected), self.uniform),
            ]
        )


def negatives_for(wanted: NDArray[np.floating], *, count: int, from_batch: int) -> Negatives:
    """`wanted` (I,): how often each item is a target of a pass over the data."""
    uniform = count - from_batch
    expected = from_batch * wanted / max(float(wanted.sum()), 1.0) + uniform / max(len(wanted), 1)
    return Negatives(np.log(np.maximum(expected, 1e-12)).astype(np.float32), from_batch, uniform)


def softmax_loss(
    towers: TwoTower, batch: Batch, drawn: NDArray[np.int64], log_expected: Floats, temperature: float
) -> Tensor:
    """The mean loss over the pairs of a batch, with `drawn` (K,) negatives and the catalogue's `log_expected` (I,)."""
    rows = np.concatenate([batch.history.ravel(), batch.wanted, drawn])
    distinct, place = np.unique(rows, return_inverse=True)  # popular items stand in most histories
    vectors = towers.items(torch.from_numpy(distinct))
    history, wanted, others = torch.split(torch.from_numpy(place), [batch.history.size, len(batch.wanted), len(drawn)])
    read = towers.user(  # (B, A, D)
        torch.from_numpy(batch.history),
        torch.from_numpy(batch.weights),
        vectors[history].view(*batch.history.shape, -1),
        batch.answered,
    )
    users = read[torch.from_numpy(batch.row), torch.from_numpy(batch.place)] / temperature  # (P, D)
    return sampled_softmax_loss(
        users,
        vectors[others],
        (users * vectors[wanted]).sum(1),
        target=torch.from_numpy(batch.wanted),
        drawn=torch.from_numpy(drawn),
        log_expected=torch.from_numpy(log_expected[drawn]),
    )
