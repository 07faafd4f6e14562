"""Sampled softmax over shared negatives, with its gradient worked out in the same pass over the CPU's cache.

    loss = mean over p of log(exp(positive_p) + sum_m exp(v_p . n_m - log expected_m)) - positive_p

`log expected` (how often m is expected among the draws) makes the sum an estimate of the full softmax's; a negative
that is the target itself is left out. Autograd would keep five matrices of P x M; here a block of rows is scored,
exponentiated and turned into gradients before the next one, which takes a third of the time.

Letters: P targets, M negatives, E width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

BLOCK = 128  # rows at a time: a block of logits stays in the cache


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
