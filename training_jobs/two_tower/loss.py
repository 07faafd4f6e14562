"""Softmax over the target and shared negatives, some of them from the batch, the rest from the whole catalogue.

    loss = mean over p of log(exp(s_pp) + sum_k exp(s_pk - log expected_k)) - s_pp,   s = u . e / temperature

Negatives from the batch's own targets come in proportion to popularity, which sharpens the head; uniform ones push
down the tail, cold items included. `expected_k` = how often item k is expected among the draws of both kinds
(logQ correction), which makes the sum an estimate of the softmax over the whole catalogue.
Letters: B histories, P pairs, K negatives, I items, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.arrays import Floats
from torch import Tensor

from training_jobs.session_ranker.sampled_softmax import sampled_softmax_loss
from training_jobs.two_tower.batches import Batch
from training_jobs.two_tower.model import TwoTower


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
    """The mean loss over the pairs of a batch; see the module for the formula."""
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
