"""The two towers over one table of item vectors: a shopper is an attention-weighted average of items, bent a little.

An item is e_j = normalise(id_j + W content_j + category_j + department_j + brand_j), its id dropped at random in
training and absent where few shoppers bought it, so that it lives by its content as a new item does. A history gives h
= one causal Transformer layer over its newest RECENT items, a_s = softmax over the whole history of (q(h_t) k(e_s) /
sqrt(D) + age[t - s] + gate_s + log weight_s), and u_t = normalise(sum_s a_s e_s + bend(h_t)); score(u, j) = u . e_j /
temperature. An average of item vectors lives in their space, so a rare item is placed as well as a frequent one; the
bend adds what an average cannot express. Position t sees itself and earlier ones, so one pass gives every prefix.
Letters: I items, B histories, L items of a history, R the newest of them, A positions with an answer, D width, T texts,
C content width.

Decisions: docs/decisions/shopper-model.md (020, 095).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from training_jobs.two_tower.data import Catalogue

RECENT = 50  # newest items whose order is read; older ones count by their weight
AGES = 20  # steps back that have weights of their own
HEADS = 2
INPUT_SCALE = 2.5  # of unit vectors, against positions of length 0.16
NEVER = -1e9  # attention logit of a position that must stay hidden
LIGHTEST = 1e-6  # weight
ITEMS_AT_ONCE = 8192
CONTENT_SCALE = 0.1  # of the projection's start


class HistoryReader(nn.Module):
    """Item vectors and weights of histories, padded on the left, to a vector after each of the last items."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(RECENT, width) * 0.02)
        self.age = nn.Parameter(torch.linspace(0.0, -3.0, AGES))
        self.attention_norm = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width)
        self.hidden_in = nn.Linear(width, hidden)
        self.hidden_out = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.bend = nn.Linear(width, width)
        nn.init.zeros_(self.bend.weight)
        nn.init.zeros_(self.bend.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, embedded: Tensor, weights: Tensor, gates: Tensor, answered: int) -> Tensor:
        """(B, L, D), (B, L) with 0 where there is nothing, (B, L) -> unit vectors (B, A, D) of the last `answered`."""
        known = weights > 0  # (B, L)
        count = known.long().cumsum(1)  # (B, L) items up to here
        gap = count[:, -answered:].unsqueeze(2) - count.unsqueeze(1)  # (B, A, L) below 0 for what comes later
        visible = (gap >= 0) & known.unsqueeze(1)
        h = self._recent(embedded[:, -RECENT:], known[:, -RECENT:], visible[:, :, -RECENT:], answered)
        logits = self.query(h) @ self.key(INPUT_SCALE * embedded).transpose(1, 2) / embedded.shape[2] ** 0.5
        bias = gates + torch.log(weights.clamp(min=LIGHTEST))  # (B, L)
        logits = logits + self.age[gap.clamp(0, AGES - 1)] + bias.unsqueeze(1)
        shares = torch.softmax(logits.masked_fill(~visible, NEVER), dim=2)  # (B, A, L)
        vectors: Tensor = F.normalize(shares @ embedded + self.bend(h), dim=-1)
        return vectors

    def _recent(self, embedded: Tensor, known: Tensor, visible: Tensor, answered: int) -> Tensor:
        """(B, A, D) the output of the Transformer layer over the newest items, at the last `answered` of them."""
        place = (known.long().cumsum(1) - 1).clamp(min=0)
        h = self.dropout(INPUT_SCALE * embedded * known.unsqueeze(-1) + self.positions[place])
        attended = self._attend(self.attention_norm(h), visible, answered)
        h = h[:, -answered:] + self.dropout(attended)
        h = h + self.dropout(self.hidden_out(F.gelu(self.hidden_in(self.hidden_norm(h)))))
        normed: Tensor = self.norm(h)
        return normed

    def _attend(self, h: Tensor, visible: Tensor, answered: int) -> Tensor:
        """Attention of the last `answered` (A) of R positions to those that each may see."""
        q, k, v = (self._by_head(part) for part in self.attention_in(h).split(h.shape[2], dim=-1))
        q = q[:, :, -answered:]
        logits = q @ k.transpose(2, 3) / q.shape[3] ** 0.5  # (B, H, A, R)
        mixed = torch.softmax(logits.masked_fill(~visible.unsqueeze(1), NEVER), dim=3) @ v
        out: Tensor = self.attention_out(mixed.transpose(1, 2).flatten(2))
        return out

    @staticmethod
    def _by_head(values: Tensor) -> Tensor:
        return values.reshape(values.shape[0], values.shape[1], HEADS, values.shape[2] // HEADS).transpose(1, 2)


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
        codes_of_items = items.informative_codes
        self.content = nn.Linear(items.content_vectors.shape[1], width, bias=False)
        nn.init.normal_(self.content.weight, std=CONTENT_SCALE)
        self.parts = nn.ModuleList(
            nn.Embedding(int(codes.max(initial=0)) + 1, width) for codes in items.informative_codes
        )
        for weight in self.parts.parameters():
            nn.init.normal_(weight, std=0.02)
        self.reader = HistoryReader(width, shape.hidden, shape.dropout)
        codes = np.stack(codes_of_items) if codes_of_items else np.zeros((0, len(has_id)))
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
