"""Margin as a bounded trade: give up at most a stated share of relevance for more expected margin.

Of all lists that keep sum(relevance) >= (1 - max_loss) * best, take one with a high expected margin
sum(relevance * margin). Candidates are ordered by relevance * ((1 - a) + a * margin / max(margin)), where
a = 0 is pure relevance and a = 1 expected margin; bisection finds the largest a that keeps the bound.
The bound is checked on the list as it will be shown, so it holds whatever diversity does to the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from recommender.domain.arrays import Floats

STEPS: Final = 3  # of bisection: `a` is found to 1/8


def trade(
    pool: Sequence[int],
    relevance: Floats,
    margin: Floats,
    choose: Callable[[Sequence[int]], list[int]],
    *,
    max_loss: float,
) -> list[int]:
    """What `choose` takes from the best order of `pool` within the bound.

    `relevance` (C,) >= 0 and `margin` (C,) in cents belong to the positions in `pool`, which are in order
    of relevance; `choose` fills a list from positions, best first.
    """
    chosen = choose(pool)
    top = float(margin.max(initial=0.0))
    if top <= 0 or max_loss <= 0:
        return chosen
    worth = dict(zip(pool, relevance.tolist(), strict=True))
    earned = dict(zip(pool, (relevance * margin).tolist(), strict=True))
    floor = (1 - max_loss) * sum(worth[position] for position in chosen)
    share = margin / top - 1  # relevance * (1 + a * share) is the mix
    low, high, mix = 0.0, 1.0, 1.0
    for _ in range(1 + STEPS):
        attempt = choose([pool[n] for n in np.argsort(-relevance * (1 + mix * share)).tolist()])
        if sum(worth[position] for position in attempt) < floor:
            high = mix
        else:
            if sum(earned[position] for position in attempt) > sum(earned[position] for position in chosen):
                chosen = attempt
            low = mix
        if low == high:
            break
        mix = (low + high) / 2
    return chosen
