"""A seeded shop whose shoppers' tastes are known, because they are made up: the ground truth of the uplift benchmark.

Everything here is an assumption, none of it is fitted to a recommender; the one figure that is fitted later is how
easily a module is clicked. Letters: I items, G categories, D width of tastes, M people.

    attraction of item i to shopper s (log odds) = taste_s . trait_i + appeal_i - thrift_s * dearness_i
    taste = part that the shopper's attributes tell + part that is the shopper's own
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Counts, Doubles

from warehouse.sources.generated import ATTRIBUTES, BRANDS, SHELVES, SIZES


@dataclass(frozen=True, slots=True)
class Nature:
    """The assumptions. Shares are from 0 to 1; strengths are log odds."""

    items: int = 480
    shoppers: int = 1200  # who bought before the test
    days: int = 150
    taste_width: int = 8
    taste_strength: float = 1.0  # standard deviation of taste . trait over the catalogue
    told_by_attributes: float = 0.3  # share of the variance of tastes that age, income and household tell
    appeal_strength: float = 0.6  # what everybody agrees on
    thrift: float = 0.4  # mean loss of attraction for each standard deviation of log price
    intent: float = 1.5  # of items of the category that the visit is about
    habit: float = 1.2  # of items bought before
    company: float = 1.2  # of the complement of what lies in the cart
    noise_width: float = 0.5  # of an item's trait that is its own, against its shelf, article and brand
    days_between_orders: float = 14.0
    lines_per_order: float = 2.5
    visits_per_order: float = 1.6  # visits that end without an order, for each one that ends with one
    no_history_share: float = 0.28  # of visits: by people who never bought here


@dataclass(frozen=True, slots=True)
class Shop:
    """The catalogue, and what it is like."""

    nature: Nature
    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    categories: tuple[str, ...]  # (I,) paths
    brands: tuple[str, ...]  # (I,)
    category: Counts  # (I,) 0..G-1
    traits: Doubles  # (I, D)
    appeal: Doubles  # (I,)
    dearness: Doubles  # (I,) standardised log price
    price_cents: Counts  # (I,)
    margin_share: Doubles  # (I,)
    complement: Counts  # (I,) the item that goes with it
    attribute_tastes: Mapping[tuple[str, str], Doubles]  # (attribute, value) -> (D,)

    @property
    def count_categories(self) -> int:
        """G."""
        return int(self.category.max()) + 1

    @property
    def margin_cents(self) -> Doubles:
        """(I,) earned with one piece."""
        earned: Doubles = self.price_cents * self.margin_share
        return earned


@dataclass(frozen=True, slots=True)
class People:
    """M shoppers: what the shop may know of them (attributes), and what it may not (the rest)."""

    attributes: tuple[Mapping[str, str], ...]
    attraction: Doubles  # (M, I) log odds
    interest: Doubles  # (M, G) chance that a visit is about each category


COMMON: Final = (("age", 0.5), ("income", 0.3), ("household_size", 0.2))  # weight of each attribute in a taste


def found(nature: Nature, seed: int) -> Shop:
    """The shop of this seed."""
    rng = np.random.default_rng([seed, 1])
    width, count = nature.taste_width, nature.items
    shelves = [(department, shelf) for department, parts in SHELVES.items() for shelf in parts]
    category = np.sort(rng.integers(0, len(shelves), count))
    article = [str(rng.choice(SHELVES[shelves[place][0]][shelves[place][1]])) for place in category]
    brand, size = rng.choice(BRANDS, count), rng.choice(SIZES, count)
    parts = [
        rng.normal(size=(len(shelves), width))[category],
        _by_name(article, width, rng),
        0.5 * _by_name(list(brand), width, rng),
        nature.noise_width * rng.normal(size=(count, width)),
    ]
    traits: Doubles = np.sum(parts, axis=0) / np.sqrt(2.25 + nature.noise_width**2)
    log_price = rng.normal(np.log(1800), 0.6, count)
    names = [(name, value) for name, values in ATTRIBUTES.items() for value in values]
    return Shop(
        nature=nature,
        item_ids=tuple(f"i{n:05d}" for n in range(count)),
        titles=tuple(f"{a.title()}, {s.lower()}, {b}" for a, s, b in zip(article, size, brand, strict=True)),
        categories=tuple(f"{shelves[p][0]} > {shelves[p][1]} > {a}" for p, a in zip(category, article, strict=True)),
        brands=tuple(str(name) for name in brand),
        category=category.astype(np.int64),
        traits=traits,
        appeal=nature.appeal_strength * rng.normal(size=count),
        dearness=(log_price - log_price.mean()) / log_price.std(),
        price_cents=np.round(np.exp(log_price)).astype(np.int64),
        margin_share=rng.uniform(0.1, 0.5, count),
        complement=_complements(category, rng),
        attribute_tastes={name: rng.normal(size=width) for name in names},
    )


def people(shop: Shop, count: int, rng: np.random.Generator) -> People:
    """So many people, drawn from one population whether they are known to the shop or not."""
    nature = shop.nature
    columns = {name: rng.choice(values, count) for name, values in ATTRIBUTES.items()}
    attributes = tuple({name: str(values[m]) for name, values in columns.items()} for m in range(count))
    told = np.array(
        [sum(np.sqrt(share) * shop.attribute_tastes[name, one[name]] for name, share in COMMON) for one in attributes]
    )
    share = nature.told_by_attributes
    taste = np.sqrt(share) * told + np.sqrt(1.0 - share) * rng.normal(size=(count, nature.taste_width))  # (M, D)
    thrift = nature.thrift * rng.gamma(4.0, 0.25, count)
    liking = taste @ shop.traits.T * nature.taste_strength / np.sqrt(nature.taste_width)  # (M, I)
    attraction = liking + shop.appeal - thrift[:, None] * shop.dearness
    worth = np.stack(
        [np.log(np.exp(attraction[:, shop.category == g]).sum(axis=1)) for g in range(shop.count_categories)], axis=1
    )
    return People(attributes, attraction, softmax(worth))


def wants(
    shop: Shop, attraction: Doubles, *, intent: int, owned: NDArray[np.bool_], cart: tuple[int, ...] = ()
) -> Doubles:
    """(I,) attraction in a visit about a category, of somebody who bought `owned` (I,) before."""
    nature = shop.nature
    found: Doubles = attraction + nature.intent * (shop.category == intent) + nature.habit * owned
    if cart:
        found[shop.complement[list(cart)]] += nature.company
    return found


def softmax(log_odds: Doubles) -> Doubles:
    """Chances along the last axis."""
    weight = np.exp(log_odds - log_odds.max(axis=-1, keepdims=True))
    chances: Doubles = weight / weight.sum(axis=-1, keepdims=True)
    return chances


def _by_name(names: list[str], width: int, rng: np.random.Generator) -> Doubles:
    """(I, D): one draw for each distinct name."""
    distinct, place = np.unique(names, return_inverse=True)
    drawn: Doubles = rng.normal(size=(len(distinct), width))
    return drawn[place]


def _complements(category: NDArray[np.int64], rng: np.random.Generator) -> Counts:
    """(I,) an item of another category for each."""
    count = len(category)
    drawn = rng.integers(0, count, count)
    for _ in range(20):
        same = category[drawn] == category
        drawn[same] = rng.integers(0, count, int(same.sum()))
    return drawn.astype(np.int64)
