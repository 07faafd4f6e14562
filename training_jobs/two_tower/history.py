"""The user tower's reading of a history: an attention-weighted average of item vectors, bent a little.

    h   = one causal Transformer layer over the newest RECENT items
    a_s = softmax over the whole history of (q(h_t) k(e_s) / sqrt(D) + age[t - s] + gate_s + log weight_s)
    u_t = normalise(sum_s a_s e_s + bend(h_t))

An average of unit item vectors lives in their space, so an item seen a few times is placed as well as a frequent one;
the bend is what an average cannot say. Position t sees itself and what came before, so one pass gives every prefix.
Letters: B histories, L items of a history, R the newest of them, A of those that are answered, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

RECENT = 50  # newest items whose order is read; older ones count by their weight
AGES = 20  # steps back that are told apart
HEADS = 2
INPUT_SCALE = 2.5  # of unit vectors, against positions of length 0.16
NEVER = -1e9  # attention logit of what must not be seen
LIGHTEST = 1e-6  # weight


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
        """(B, A, D) what the Transformer layer makes of the newest items, at the last `answered` of them."""
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
