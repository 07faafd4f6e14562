"""The two towers. They share the item vectors: a shopper is a gated, weighted mean of items, bent by a small MLP.

    e_j = normalise(id_j + W content_j + category_j + department_j + brand_j)      id_j dropped at random in training
    p   = 4 sum_l a_l e_l / sum_l a_l,   a_l = weight_l exp(gate_l)
    u   = normalise(p + MLP(p))          score(u, j) = u . e_j / temperature

Items that few shoppers bought have no id vector of their own and live by their content, as a new item does.
Letters: I items, B shoppers, L items of a history, D width, C content width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from recommender.domain.arrays import Floats
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from training_jobs.two_tower.data import Catalogue

POOLED_LENGTH = 4.0  # scale of the mean, so that the MLP's inputs are of order 1
ITEMS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class TowerShape:
    """Sizes and regularisation of the towers."""

    width: int = 64
    hidden: int = 128
    id_dropout: float = 0.3
    fewest_shoppers: int = 3  # for an id vector of its own


class TwoTower(nn.Module):
    """Item and user tower over one table of item vectors."""

    number: Tensor  # (I,) the item's id vector, 0 for none
    codes: Tensor  # (parts, I)
    text: Tensor  # (I,)
    vectors: Tensor  # (T, C)

    def __init__(self, shape: TowerShape, items: Catalogue, start: Floats, has_id: np.ndarray) -> None:
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
        nn.init.normal_(self.content.weight, std=0.02)
        self.parts = nn.ModuleList(nn.Embedding(int(codes.max(initial=0)) + 1, width) for codes in items.codes)
        for weight in self.parts.parameters():
            nn.init.normal_(weight, std=0.02)
        last = nn.Linear(shape.hidden, width)
        nn.init.zeros_(last.weight)
        self.mlp = nn.Sequential(nn.Linear(width, shape.hidden), nn.GELU(), last)
        self.register_buffer("number", torch.from_numpy(number), persistent=False)
        self.register_buffer("codes", torch.from_numpy(np.stack(items.codes).astype(np.int64)), persistent=False)
        self.register_buffer("text", torch.from_numpy(items.content_row.astype(np.int64)), persistent=False)
        self.register_buffer("vectors", torch.from_numpy(items.content_vectors), persistent=False)

    def items(self, rows: Tensor) -> Tensor:
        """Rows (...,) -> unit vectors (..., D)."""
        own = self.ids(self.number[rows])
        if self.training:
            own = own * (torch.rand(rows.shape, device=rows.device) >= self.shape.id_dropout).unsqueeze(-1)
        total = own + self.content(self.vectors[self.text[rows]])
        for part, codes in zip(self.parts, self.codes, strict=True):
            total = total + part(codes[rows])
        return F.normalize(total, dim=-1)

    def user(self, rows: Tensor, weights: Tensor, embedded: Tensor) -> Tensor:
        """Rows and weights (B, L) and their item vectors (B, L, D) -> unit vectors (B, D)."""
        shares = weights * torch.exp(self.gates(self.number[rows]).squeeze(-1))  # (B, L)
        pooled = pool(embedded, shares)
        return F.normalize(pooled + self.mlp(pooled), dim=-1)

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
        self.register_buffer("gates", torch.exp(towers.gates.weight.detach()[towers.number, 0]))  # (I,)
        self.mlp = towers.mlp

    def forward(self, history: Tensor, weights: Tensor) -> Tensor:
        """History (B, L) int64 rows, weights (B, L) -> user_vec (B, D)."""
        pooled = pool(self.vectors[history], weights * self.gates[history])
        return F.normalize(pooled + self.mlp(pooled), dim=-1)


def pool(embedded: Tensor, shares: Tensor) -> Tensor:
    """(B, L, D), (B, L) -> (B, D): the weighted mean, scaled."""
    total = (shares.unsqueeze(1) @ embedded).squeeze(1)  # (B, D)
    return POOLED_LENGTH * total / (shares.sum(dim=1, keepdim=True) + 1e-6)
