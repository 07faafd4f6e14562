"""One list for each placement, needing no shopper, session or model: what is left when all else fails.

The lists of a page share no item, hold what is in stock, and at most two items of a category each, in rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from recommender.contracts.placements import DEFAULT, Placement
from recommender.domain.arrays import Doubles, Ids
from recommender.domain.bundle import ItemTable
from recommender.domain.prior import Prior

DEPTH = 4  # times the size of the placement
LOOKED_AT = 3000  # best items that a list is chosen from
PER_CATEGORY = 2  # items of a category in each round of `size` places


def fallback_lists(
    prior: Prior, items: ItemTable, item_ids: Ids, *, placements: Sequence[Placement] = DEFAULT
) -> dict[str, list[str]]:
    """Placement id -> item ids, best first."""
    taken: dict[str, set[int]] = {placement.page: set() for placement in placements}
    lists: dict[str, list[str]] = {}
    for placement in placements:
        ranked = _ranked(_worth(placement, prior, items), items)
        rows = _spread(ranked, items, taken[placement.page], size=placement.size)
        taken[placement.page].update(rows)
        lists[placement.placement_id] = [bytes(item_ids[row]).decode() for row in rows]
    return lists


def _worth(placement: Placement, prior: Prior, items: ItemTable) -> Doubles:
    """(I,) log of what showing the item is worth there: popularity, with its trend, repeats or value."""
    worth = prior.log_share.astype(np.float64)
    if "trending" in placement.sources:
        worth = worth + placement.sources["trending"] * prior.trend
    if "own_history" in placement.sources:
        worth = worth + np.log(np.maximum(items.repeat_share, 1e-3))
    if placement.objective == "revenue":
        worth = worth + np.log(np.maximum(items.price_cents, 1))
    if placement.objective == "margin":
        worth = worth + np.log(np.maximum(items.price_cents * np.maximum(items.margin_share, 0.0), 1.0))
    return worth


def _ranked(worth: Doubles, items: ItemTable) -> NDArray[np.int64]:
    """The best items in stock; all items where nothing is."""
    eligible = np.flatnonzero(items.in_stock)
    eligible = eligible if len(eligible) else np.arange(len(worth))
    best = eligible[np.lexsort((eligible, -worth[eligible]))]
    return best[:LOOKED_AT]


def _spread(ranked: NDArray[np.int64], items: ItemTable, taken: set[int], *, size: int) -> list[int]:
    """DEPTH rounds of `size` items; each round takes at most PER_CATEGORY of a category while others are left."""
    left = [int(row) for row in ranked if int(row) not in taken]
    chosen: list[int] = []
    for _ in range(DEPTH):
        in_round: dict[int, int] = {}
        picked: list[int] = []
        for row in left:
            category = int(items.category[row])
            if len(picked) < size and in_round.get(category, 0) < PER_CATEGORY:
                picked.append(row)
                in_round[category] = in_round.get(category, 0) + 1
        chosen += picked
        gone = set(picked)
        left = [row for row in left if row not in gone]
    return chosen + left[: DEPTH * size - len(chosen)]
