"""The two towers. They share the item vectors: a shopper is an attention-weighted average of items, bent a little.

    e_j = normalise(id_j + W content_j + category_j + department_j + brand_j)      id_j dropped at random in training
    u   = history reader over e_l, oldest first (training_jobs.two_tower.history)  score(u, j) = u . e_j / temperature

Items that few shoppers bought have no id vector of their own and live by their content, as a new item does.
Letters: I items, B shoppers, L items of a history, A answered, D width, C content width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.arrays import Floats
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from training_jobs.two_tower.data import Catalogue
from training_jobs.two_tower.history import HistoryReader

ITEMS_AT_ONCE = 8192
CONTENT_SCALE = 0.1  # of the projection's start


@dataclass(frozen=True, slots=True)
class TowerShape:
    """Sizes and regularisation of the towers."""

    width: int = 64
    hidden: int = 256
    dropout: float = 0.2
    id_dropout: float = 0.3
    fewest_shoppers: int = 3  # for an id vector of its own, where there is content to live by


class TwoTower(nn.Module):
    """Item and user tower over one table of item vectors."""

    number: Tensor  # (I,) the item's id vector, 0 for none
    codes: Tensor  # (parts, I)
    text: Tensor  # (I,)
    vectors: Tensor  # (T, C)

    def __init__(self, shape: TowerShape, items: Catalogue, start: Floats, has_id: NDArray[np.bool_]) -> None:
        super().__init__()
        width = shape.width
        own = np.flatnonzero(has_id)
        number = np.zeros(len(has_id), np.int64)  # 0: no id vector
        number[own] = 1 + np.arange(len(own))
        self.shape = shape
        self.ids = nn.Embedding(len(own) + 1, width)
        with torch.no_grad():
            self.ids.weight[0] = 0.0
            self.ids.weight[1:] = torch.from_numpy(start[own])
        self.gates = nn.Embedding(len(own) + 1, 1)
        nn.init.zeros_(self.gates.weight)
        self.content = nn.Linear(items.content_vectors.shape[1], width, bias=False)
        nn.init.normal_(self.content.weight, std=CONTENT_SCALE)
        self.parts = nn.ModuleList(nn.Embedding(int(codes.max(initial=0)) + 1, width) for codes in items.telling)
        for weight in self.parts.parameters():
            nn.init.normal_(weight, std=0.02)
        self.reader = HistoryReader(width, shape.hidden, shape.dropout)
        codes = np.stack(items.telling) if items.telling else np.zeros((0, len(has_id)))
        self.register_buffer("number", torch.from_numpy(number), persistent=False)
        self.register_buffer("codes", torch.from_numpy(codes.astype(np.int64)), persistent=False)
        self.register_buffer("text", torch.from_numpy(items.content_row.astype(np.int64)), persistent=False)
        self.register_buffer("vectors", torch.from_numpy(items.content_vectors), persistent=False)

    def items(self, rows: Tensor) -> Tensor:
        """Rows (N,) -> unit vectors (N, D)."""
        own = self.ids(self.number[rows])
        if self.training and self.shape.id_dropout > 0:
            own = own * (torch.rand(rows.shape) >= self.shape.id_dropout).unsqueeze(-1)
        total = own + self.content(self.vectors[self.text[rows]])
        for part, codes in zip(self.parts, self.codes, strict=True):
            total = total + part(codes[rows])
        return F.normalize(total, dim=-1)

    def user(self, rows: Tensor, weights: Tensor, embedded: Tensor, answered: int) -> Tensor:
        """Rows and weights (B, L), oldest first, their item vectors (B, L, D) -> unit vectors (B, A, D)."""
        vectors: Tensor = self.reader(embedded, weights, self.gates(self.number[rows]).squeeze(-1), answered)
        return vectors

    @torch.no_grad()
    def item_vectors(self) -> Tensor:
        """(I, D) unit vectors of the whole catalogue."""
        self.eval()
        rows = torch.arange(len(self.number))
        return torch.cat([self.items(part) for part in torch.split(rows, ITEMS_AT_ONCE)])


class UserTower(nn.Module):
    """The exported user tower: item vectors and gates are frozen tables."""

    vectors: Tensor  # (I, D)
    gates: Tensor  # (I,)

    def __init__(self, towers: TwoTower) -> None:
        super().__init__()
        self.register_buffer("vectors", towers.item_vectors())
        self.register_buffer("gates", towers.gates.weight.detach()[towers.number, 0].clone())  # (I,)
        self.reader = towers.reader

    def forward(self, history: Tensor, weights: Tensor) -> Tensor:
        """History (B, L) int64 rows, oldest first, weights (B, L), 0 before a short one's start -> user_vec (B, D)."""
        vectors: Tensor = self.reader(self.vectors[history], weights, self.gates[history], 1)
        return vectors[:, -1]
