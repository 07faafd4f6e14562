"""Clicks of simulated shoppers: down the list, seldom to its end, by taste.

The cascade model (Craswell et al., WSDM 2008) with an examination that stops: position i is examined with
probability CONTINUES^i unless something above was clicked; an examined item of attraction a is clicked with
probability 1 - exp(-eagerness * a). A list is clicked at most once.

Decisions: docs/decisions/local.md (143).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from recommender.domain.models.arrays import Doubles

CONTINUES: Final = 0.85
MOST_EAGER: Final = 1e9


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome of one list: the number of items seen, and the click."""

    count_seen: int
    clicked: int | None


class Clicking(Protocol):
    """A way of clicking."""

    def chances(self, attraction: Doubles) -> Doubles:
        """The probability (n,) that each item is clicked once it is examined."""


@dataclass(frozen=True, slots=True)
class ByTaste:
    """Shoppers click what they want."""

    eagerness: float

    def chances(self, attraction: Doubles) -> Doubles:
        """1 - exp(-eagerness * attraction)."""
        return np.asarray(-np.expm1(-self.eagerness * attraction))


@dataclass(frozen=True, slots=True)
class Blind:
    """Shoppers click whatever stands there: no list can be better than another."""

    share: float  # of lists that are clicked

    def chances(self, attraction: Doubles) -> Doubles:
        """All on the first position, which every visitor examines: the same for a list of any length."""
        return np.where(np.arange(len(attraction)) == 0, self.share, 0.0)


def look(chances: Doubles, rng: np.random.Generator) -> Look:
    """Go down a list of one item or more."""
    for position, chance in enumerate(chances):
        if rng.random() < chance:
            return Look(position + 1, position)
        if rng.random() >= CONTINUES:
            return Look(position + 1, None)
    return Look(len(chances), None)


def click_chance(chances: Doubles) -> float:
    """P(some item of the list is clicked) = sum_i CONTINUES^i p_i prod_{j<i} (1 - p_j)."""
    reached = np.cumprod(np.concatenate([[1.0], CONTINUES * (1 - chances[:-1])]))
    return float((reached * chances).sum())


def eagerness_for(share: float, attractions: Sequence[Doubles]) -> float:
    """The eagerness at which these lists are clicked in this share of cases, by bisection.

    Raises ValueError where the lists do not hold enough that is wanted.
    """
    low, high = 0.0, MOST_EAGER
    if _mean(high, attractions) < share:
        raise ValueError(f"share is {share}, expected at most {_mean(high, attractions):.3f} with these lists")
    low, high = 1e-6, MOST_EAGER
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _mean(middle, attractions) < share else (low, middle)
    return high


def _mean(eagerness: float, attractions: Sequence[Doubles]) -> float:
    by_taste = ByTaste(eagerness)
    return float(np.mean([click_chance(by_taste.chances(attraction)) for attraction in attractions]))
