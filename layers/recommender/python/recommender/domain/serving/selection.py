"""The walk that fills a list: best first, no item twice on the page, not the same thing over and over.

Two items with the same text are variants of one product to a shopper, so a page shows one of them, and
a list takes only so many from one category. Both are preferences: where they would leave the list
short, the best of what was passed over comes back.

Margin as a bounded trade: give up at most a stated share of relevance for more expected margin.

Of all lists that keep sum(relevance) >= (1 - max_loss) * best, take one with a high expected margin
sum(relevance * margin). Candidates are ordered by relevance * ((1 - a) + a * margin / max(margin)), where
a = 0 is pure relevance and a = 1 expected margin; bisection finds the largest a that keeps the bound.
The bound is checked on the list as it will be shown, so it holds whatever diversity does to the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from recommender.contracts.placements import Placement
from recommender.domain.models.arrays import Floats, Rows
from recommender.domain.models.bundle import Bundle

CATEGORY_SOURCES: Final = frozenset({"similar_content", "category"})  # lists that are about one category


@dataclass(slots=True)
class Shown:
    """The items on the page so far, over all of its lists."""

    rows: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)

    def add(self, row: int, group: int) -> None:
        """Note an item that was placed."""
        self.rows.add(row)
        self.groups.add(group)

    def keep_back(self, bundle: Bundle, rows: Rows | None) -> None:
        """Keep the first of `rows` for the list that it belongs to."""
        if rows is not None and len(rows):
            self.add(int(rows[0]), int(bundle.items.content_row[rows[0]]))

    def let_go(self, bundle: Bundle, rows: Rows | None) -> None:
        """Undo `keep_back`: it is the turn of the list that `rows` belong to."""
        if rows is not None and len(rows):
            self.rows.discard(int(rows[0]))
            self.groups.discard(int(bundle.items.content_row[rows[0]]))


def category_cap(placement: Placement, limit: int) -> int:
    """Limit the items of one category in a list of this size: a third, at least two."""
    return limit if CATEGORY_SOURCES & placement.sources.keys() else max(2, limit // 3)


def walk(
    order: Iterable[int],
    *,
    rows: Sequence[int],
    groups: Sequence[int],
    categories: Sequence[int],
    shown: Shown,
    limit: int,
    cap: int,
) -> list[int]:
    """Up to `limit` positions in `order`, best first, that are new to the page; `shown` is left as it is."""
    chosen: list[int] = []
    passed_over: list[int] = []
    taken_groups: set[int] = set()
    per_category: dict[int, int] = {}
    for position in order:
        if rows[position] in shown.rows:
            continue
        group, category = groups[position], categories[position]
        if group in shown.groups or group in taken_groups or per_category.get(category, 0) >= cap:
            passed_over.append(position)
            continue
        chosen.append(position)
        taken_groups.add(group)
        per_category[category] = per_category.get(category, 0) + 1
        if len(chosen) == limit:
            return chosen
    return chosen + passed_over[: limit - len(chosen)]


STEPS: Final = 3  # of bisection: `a` is found to 1/8


def trade(
    pool: Sequence[int],
    relevance: Floats,
    margin: Floats,
    choose: Callable[[Sequence[int]], list[int]],
    *,
    max_loss: float,
) -> list[int]:
    """Return the choice of `choose` from the best order of `pool` within the bound.

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
