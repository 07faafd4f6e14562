"""Who visits: households of the running bundle with their real orders, and strangers, in a seeded order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.contracts.artifacts import CATALOGUE
from recommender.domain.experiments.assignment import is_held_out
from recommender.domain.experiments.config import ExperimentConfig

from local.landing import SIMULATED
from local.shoppers.tastes import Shelves, Taste, draw_intent, draw_taste, shelves
from local.shoppers.visit import Shopper

STRANGERS: Final = 0.28  # share of the sessions of which nothing is known


@dataclass(frozen=True, slots=True)
class Household:
    """A known shopper and how many orders held each item."""

    user_id: str
    orders: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Makes the shopper of each session; the same seed gives the same shoppers in the same order."""

    shop: Shelves
    households: tuple[Household, ...]
    seed: int
    run: str  # makes the sessions of one run different from those of all others

    def shopper(self, number: int) -> tuple[Shopper, np.random.Generator]:
        """The shopper of session `number`, and the random numbers of that visit."""
        rng = np.random.default_rng((self.seed, 0, number))
        if rng.random() < STRANGERS:
            taste, visitor, user = draw_taste(self.shop, {}, rng), f"{self.seed}-s{number}", None
        else:
            chosen = int(rng.integers(len(self.households)))
            taste, visitor, user = self._taste(chosen), f"{self.seed}-h{chosen}", self.households[chosen].user_id
        session = f"{SIMULATED}{self.run}-{number}"
        return Shopper(f"{SIMULATED}{visitor}", session, user, taste, draw_intent(taste, rng)), rng

    def held_out(self, config: ExperimentConfig) -> Iterator[tuple[Shopper, np.random.Generator]]:
        """Shoppers under names that the hold-out holds: they see the control on every page."""
        for number in count():
            shopper, rng = self.shopper(-number % 2**32)
            names = (f"{shopper.visitor_id}-c{n}" for n in count())
            name = next(name for name in names if is_held_out(config, name))
            yield Shopper(name, f"{shopper.session_id}-c", shopper.user_id, shopper.taste, shopper.intent), rng

    def _taste(self, household: int) -> Taste:
        """A household wants the same in every session."""
        rng = np.random.default_rng((self.seed, 1, household))
        return draw_taste(self.shop, self.households[household].orders, rng)


def read_crowd(bundle: Path, shoppers: Path, *, seed: int, run: str) -> Crowd:
    """The crowd of a bundle's catalogue and the shoppers it was published with."""
    with (bundle / CATALOGUE).open() as lines:
        items = [json.loads(line) for line in lines]
    with shoppers.open() as lines:
        households = tuple(_household(json.loads(line)) for line in lines)
    orders: dict[str, float] = {}
    for household in households:
        for item_id, number in household.orders.items():
            orders[item_id] = orders.get(item_id, 0.0) + number
    return Crowd(shelves(items, orders), households, seed, run)


def _household(body: Mapping[str, Any]) -> Household:
    history = body["history"]
    return Household(body["shopper_id"], dict(zip(history["item_ids"], map(float, history["orders"]), strict=True)))
