"""What simulated shoppers want: shares of real categories and brands, drawn from a seeded Dirichlet distribution.

A household's taste is drawn around what it has really bought; a stranger's around what everybody buys. No
model has a say in it. Letters: C categories, B brands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from recommender.domain.arrays import Doubles

PRIOR_ORDERS: Final = 60.0  # how many orders what everybody buys is worth beside one's own
INTENT: Final = 0.08  # added to the share of the category this visit is for


@dataclass(frozen=True, slots=True)
class Product:
    """One item of the catalogue, as far as shoppers look at it."""

    item_id: str
    category: int
    brand: int
    price: float


@dataclass(frozen=True, slots=True)
class Shelves:
    """The catalogue by category and brand, and what all households together buy of each."""

    products: Mapping[str, Product]
    categories: tuple[str, ...]
    brands: tuple[str, ...]
    category_share: Doubles  # (C,) sums to 1
    brand_share: Doubles  # (B,) sums to 1
    bought: tuple[tuple[str, ...], ...]  # (C,) items of each category that households buy

    def price(self, item_id: str) -> float:
        """What it costs; 0 for an item that is newer than the shelves."""
        product = self.products.get(item_id)
        return product.price if product else 0.0


@dataclass(frozen=True, slots=True)
class Taste:
    """Shares of a shopper's wants."""

    categories: Doubles  # (C,) sums to 1
    brands: Doubles  # (B,) sums to 1


def shelves(items: Sequence[Mapping[str, Any]], orders: Mapping[str, float]) -> Shelves:
    """The shelves of these items, weighted by the orders of each item."""
    categories = tuple(sorted({str(item["category"]) for item in items}))
    brands = tuple(sorted({str(item.get("brand") or "") for item in items}))
    category_of = {name: row for row, name in enumerate(categories)}
    brand_of = {name: row for row, name in enumerate(brands)}
    products = {
        item["item_id"]: Product(
            item["item_id"],
            category_of[str(item["category"])],
            brand_of[str(item.get("brand") or "")],
            item.get("price_cents", 0) / 100,
        )
        for item in items
    }
    category_orders, brand_orders = np.zeros(len(categories)), np.zeros(len(brands))
    bought: list[list[str]] = [[] for _ in categories]
    for item_id, count in orders.items():
        if (product := products.get(item_id)) is not None:
            category_orders[product.category] += count
            brand_orders[product.brand] += count
            bought[product.category].append(item_id)
    return Shelves(
        products,
        categories,
        brands,
        category_orders / category_orders.sum(),
        brand_orders / brand_orders.sum(),
        tuple(tuple(sorted(members)) for members in bought),
    )


def draw_taste(shop: Shelves, orders: Mapping[str, float], rng: np.random.Generator) -> Taste:
    """Dirichlet(PRIOR_ORDERS * what everybody buys + own orders), for categories and for brands."""
    categories, brands = PRIOR_ORDERS * shop.category_share, PRIOR_ORDERS * shop.brand_share
    for item_id, count in orders.items():
        if (product := shop.products.get(item_id)) is not None:
            categories[product.category] += count
            brands[product.brand] += count
    return Taste(_dirichlet(categories, rng), _dirichlet(brands, rng))


def draw_intent(taste: Taste, rng: np.random.Generator) -> int:
    """The category that a visit is for."""
    return int(rng.choice(len(taste.categories), p=taste.categories))


def attraction(shop: Shelves, taste: Taste, intent: int, item_ids: Sequence[str]) -> Doubles:
    """How much each item is wanted (n,): the share of its category, more for the visit's own, by the brand's share."""
    known = [shop.products.get(item_id) for item_id in item_ids]
    return np.array(
        [
            0.0
            if product is None
            else (taste.categories[product.category] + INTENT * (product.category == intent))
            * taste.brands[product.brand]
            for product in known
        ]
    )


def _dirichlet(weights: Doubles, rng: np.random.Generator) -> Doubles:
    """Normalised gamma draws; a weight of zero stays zero, which numpy's own dirichlet refuses."""
    draws = rng.standard_gamma(weights)
    shares: Doubles = draws / draws.sum()
    return shares
