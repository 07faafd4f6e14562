"""The neural session encoder, and the loss that it is trained with.

A session is an attention-weighted average of its items' vectors (after CORE), so both live in one space, and the score
of item j is cos(session vector, E_j) / temperature. Position t attends to s <= t: h = one causal Transformer layer over
3 E(x) + position, a_ts = softmax over s of (q(h_t) k(h_s) / sqrt(E) + relative[t - s]), v_t = normalise(sum_s a_ts
E(x_s)). The loss is a sampled softmax over shared negatives, mean over p of log(exp(positive_p) + sum_m exp(v_p . n_m -
log expected_m)) - positive_p; `log expected` (how often m is expected among the draws) makes the sum an estimate of the
full softmax's. Its gradient is worked out block by block: autograd would keep five matrices of P x M and take three
times as long. Letters: B sessions, L items of a session, E width, I items, P targets, M negatives.

Decisions: docs/decisions/next-item.md (034).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from recommender.domain.models.bundle import Model
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F  # noqa: N812 - its usual name

from training_jobs.onnx_models import onnx_bytes, torch_function

LONGEST = 20  # items of a session that are read, the newest
INPUT_SCALE = 3.0
NEVER = -1e9  # attention logit of a position that must stay hidden
BLOCK = 128  # rows at a time: a block of logits stays in the cache


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """The shape of the encoder."""

    width: int = 64
    heads: int = 2
    hidden: int = 256
    dropout: float = 0.2
    temperature: float = 0.07


class SessionEncoder(nn.Module):
    """Vectors of all prefixes of a batch of sessions in one pass."""

    def __init__(self, count_items: int, settings: EncoderSettings) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.items = nn.Embedding(count_items, width)
        self.positions = nn.Parameter(torch.randn(LONGEST, width) * 0.02)
        self.relative = nn.Parameter(torch.linspace(0.0, -3.0, LONGEST))
        self.attention_norm = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width)
        self.hidden_in = nn.Linear(width, settings.hidden)
        self.hidden_out = nn.Linear(settings.hidden, width)
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(settings.dropout)
        nn.init.normal_(self.items.weight, std=0.1)

    def forward(self, items: Tensor) -> Tensor:
        """Items (B, L <= LONGEST) int64, -1 where absent -> unit vectors (B, L, E), entry t after items 0..t."""
        return self.read(items, self.items(items.clamp(min=0)))

    def read(self, items: Tensor, embedded: Tensor) -> Tensor:
        """`forward` for items whose embeddings (B, L, E) were looked up already."""
        known = items >= 0  # (B, L)
        place = (known.long().cumsum(1) - 1).clamp(min=0)  # (B, L) how many known items came before
        embedded = embedded * known.unsqueeze(-1)
        visible = self._visible(known)  # (B, L, L)
        h = self.dropout(INPUT_SCALE * embedded + self.positions[place])
        h = h + self.dropout(self._attend(self.attention_norm(h), visible))
        h = h + self.dropout(self.hidden_out(F.gelu(self.hidden_in(self.hidden_norm(h)))))
        h = self.norm(h)
        gap = (place.unsqueeze(2) - place.unsqueeze(1)).clamp(min=0)  # (B, L, L)
        logits = self.query(h) @ self.key(h).transpose(1, 2) / self.settings.width**0.5 + self.relative[gap]
        shares = torch.softmax(logits.masked_fill(~visible, NEVER), dim=2)  # (B, L, L)
        vectors: Tensor = F.normalize(shares @ embedded, dim=-1)
        return vectors

    def item_vectors(self) -> Tensor:
        """(I, E) unit vectors of all items."""
        return F.normalize(self.items.weight, dim=-1)

    @staticmethod
    def _visible(known: Tensor) -> Tensor:
        """(B, L, L): position t may look at known item s <= t."""
        steps = torch.arange(known.shape[1], device=known.device)
        return (steps.unsqueeze(0) <= steps.unsqueeze(1)).unsqueeze(0) & known.unsqueeze(1)

    def _attend(self, h: Tensor, visible: Tensor) -> Tensor:
        heads, width = self.settings.heads, self.settings.width
        split = (*h.shape[:2], heads, width // heads)
        q, k, v = (
            part.reshape(split).transpose(1, 2) for part in self.attention_in(h).split(width, dim=-1)
        )  # (B, H, L, E/H)
        logits = q @ k.transpose(2, 3) / (width // heads) ** 0.5
        mixed = torch.softmax(logits.masked_fill(~visible.unsqueeze(1), NEVER), dim=3) @ v
        out: Tensor = self.attention_out(mixed.transpose(1, 2).flatten(2))
        return out


class LastVector(nn.Module):
    """The vector that serving needs: after the last known item of one session; zeros where none is known."""

    def __init__(self, encoder: SessionEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, items: Tensor) -> Tensor:
        """Items (1, L) int64 in order, -1 anywhere is passed over -> session_vec (1, E)."""
        recent = items[:, -LONGEST:]
        known = (recent >= 0).long()  # (1, L)
        last = (known.cumsum(1) * known).argmax(dim=1)  # (1,) the place of the last known item
        vectors = self.encoder(recent)  # (1, L, E)
        chosen = vectors.gather(1, last.view(-1, 1, 1).expand(-1, 1, vectors.shape[2])).squeeze(1)
        session_vec: Tensor = chosen * known.amax(dim=1, keepdim=True)
        return session_vec


def to_onnx(encoder: SessionEncoder) -> bytes:
    """`session_encoder.onnx`: items (1, L) int64 -> session_vec (1, E), L free."""
    example = torch.arange(3).remainder(encoder.items.num_embeddings).unsqueeze(0)  # (1, 3)
    length = torch.export.Dim("length", min=1, max=4096)
    return onnx_bytes(
        LastVector(encoder), (example,), inputs=["items"], outputs=["session_vec"], free={"items": {1: length}}
    )


def as_function(encoder: SessionEncoder) -> Model:
    """The PyTorch encoder as a function of arrays: items (1, L) -> session_vec (1, E)."""
    return torch_function(LastVector(encoder), inputs=["items"], outputs=["session_vec"])


@torch.no_grad()
def forget(encoder: SessionEncoder, rows: NDArray[np.integer]) -> None:
    """Set the vectors of these `rows` (N,) to zero: an unseen item must not keep the random vector it started from."""
    encoder.items.weight[torch.from_numpy(np.asarray(rows, np.int64))] = 0.0


@torch.no_grad()
def vectors_of(encoder: SessionEncoder) -> Floats:
    """(I, E) the file session_item_vectors.npy: unit vectors, zero where forgotten."""
    return encoder.item_vectors().numpy().astype(np.float32)


@torch.no_grad()
def encode(encoder: SessionEncoder, sessions: list[list[int]]) -> Floats:
    """(B, E) the vectors after each of these sessions, as serving computes them; rows without items are zero."""
    encoder.eval()
    vectors = [LastVector(encoder)(torch.tensor([rows or [-1]])).numpy() for rows in sessions]
    return np.concatenate(vectors).astype(np.float32)


def sampled_softmax_loss(
    vectors: Tensor, negatives: Tensor, positive: Tensor, *, target: Tensor, drawn: Tensor, log_expected: Tensor
) -> Tensor:
    """Mean loss of logits `vectors` (P, E) . `negatives` (M, E) against `positive` (P,) logits of `target` (P,) rows.

    `drawn` (M,) are the rows of the negatives. Logits must stay below 80: they are cosines over a temperature.
    """
    loss: Tensor = _SampledSoftmax.apply(vectors, negatives, positive, target, drawn, log_expected)  # type: ignore[no-untyped-call]
    return loss


class _SampledSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        vectors, negatives, positive, target, drawn, log_expected = inputs
        count = len(vectors)
        for_vectors, for_negatives = torch.empty_like(vectors), torch.zeros_like(negatives)
        total = positive.exp()  # (P,)
        hit_row, hit_column = _hits(target, drawn)
        weight = (-log_expected).exp()  # (M,)
        for start in range(0, count, BLOCK):
            rows = slice(start, min(start + BLOCK, count))
            mass = _product(vectors[rows], negatives.T).exp_().mul_(weight)  # (BLOCK, M)
            in_block = (hit_row >= rows.start) & (hit_row < rows.stop)
            mass[hit_row[in_block] - rows.start, hit_column[in_block]] = 0.0
            total[rows] += mass.sum(1)
            mass /= total[rows, None]  # softmax shares
            for_vectors[rows] = _product(mass, negatives)
            for_negatives += _product(mass.T, vectors[rows])
        for_positive = positive.exp() / total - 1.0  # (P,)
        ctx.save_for_backward(for_vectors, for_negatives, for_positive)
        return (total.log() - positive).mean()

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        for_vectors, for_negatives, for_positive = ctx.saved_tensors  # type: ignore[attr-defined]
        scale = gradients[0] / len(for_vectors)
        return for_vectors * scale, for_negatives * scale, for_positive * scale, None, None, None


def _hits(target: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Every (target, negative) pair of the same item."""
    ordered, place = drawn.sort()
    first = torch.searchsorted(ordered, target)
    times = torch.searchsorted(ordered, target, right=True) - first
    row = torch.repeat_interleave(torch.arange(len(target)), times)
    step = torch.arange(len(row)) - torch.repeat_interleave(times.cumsum(0) - times, times)
    return row, place[first[row] + step]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, with bfloat16 factors where the CPU multiplies them at twice the speed."""
    if not torch.cpu.get_capabilities().get("avx512_bf16", False):
        return left @ right
    return (left.bfloat16() @ right.bfloat16()).float()
