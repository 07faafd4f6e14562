"""One visit of a simulated shopper: pages in the order of a shop, what is seen and clicked, and what is bought.

A visit is a generator: it yields the calls a browser would make and is sent their answers, so that it needs no
network, no clock and no thread of its own. Impressions and clicks carry the lists' attribution tokens. What changes
the next page travels with its request; all events are posted at the end of the visit, as when a page is left.

What simulated shoppers want: shares of real categories and brands, drawn from a seeded Dirichlet distribution.

A household's taste is drawn around what it has really bought; a stranger's around what everybody buys. No
model takes part in it. Letters: C categories, B brands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from recommender.contracts.placements import DEFAULT
from recommender.domain.models.arrays import Doubles

from local.shoppers.clicks import Clicking, look

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
        """Return the price; 0 for an item that is newer than the shelves."""
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
    """(n,) appeal of each item: the share of its category, more for the visit's own, by the brand's share."""
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


RECOMMENDATIONS: Final = "/v1/recommendations"
EVENTS: Final = "/v1/events"
LIST_IN_VIEW: Final = 0.9  # the n-th list of a page comes into view with this to the power of n
GOES_TO_CATEGORY: Final = 0.5
SEARCHES: Final = 0.35
MOST_PRODUCTS: Final = 2
OPENS_ANOTHER: Final = 0.5
ADDS: Final = 0.45
BUYS: Final = 0.6

Call = tuple[str, dict[str, Any]]  # path and body of a POST
Cell = tuple[str, str]  # placement and variant
Pages = Generator[Call, Any, list[str]]


@dataclass(frozen=True, slots=True)
class Shopper:
    """A visitor. A household is known by its user id; a stranger has none."""

    visitor_id: str
    session_id: str
    user_id: str | None
    taste: Taste
    intent: int  # row of the category this visit is for


@dataclass(slots=True)
class Visited:
    """The outcome of a visit. The hold-out is not separate: a browser does not know."""

    exposures: Counter[Cell] = field(default_factory=Counter)
    clicks: Counter[Cell] = field(default_factory=Counter)
    attractions: list[tuple[Cell, Doubles]] = field(default_factory=list)  # (n,) of every list in view
    count_pages: int = 0
    count_added: int = 0
    count_orders: int = 0
    spent: float = 0.0


def visit(
    shopper: Shopper, shop: Shelves, clicking: Clicking, *, rng: np.random.Generator, clock: Callable[[], datetime]
) -> Generator[Call, Any, Visited]:
    """Home, perhaps a category or a search, products, perhaps the cart and an order; then all events."""
    walk = _Walk(shopper, shop, clicking, rng, clock)
    category = shop.categories[shopper.intent]
    clicked = yield from walk.page({"type": "home"})
    if rng.random() < GOES_TO_CATEGORY:
        clicked += yield from walk.page({"type": "category", "category": category})
    if rng.random() < SEARCHES:
        term = category.rpartition(" > ")[2].lower()
        walk.report("search", search_term=term)
        clicked += yield from walk.page({"type": "search", "search_term": term})
    yield from walk.products(clicked)
    if walk.cart:
        yield from walk.checkout()
    yield EVENTS, {**walk.ids, "events": walk.events}
    return walk.visited


@dataclass(slots=True)
class _Walk:
    shopper: Shopper
    shop: Shelves
    clicking: Clicking
    rng: np.random.Generator
    clock: Callable[[], datetime]
    cart: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    behaviour: list[dict[str, Any]] = field(default_factory=list)  # the events that change the next page
    visited: Visited = field(default_factory=Visited)

    @property
    def ids(self) -> dict[str, str]:
        """Return the ids of the visitor and the session."""
        ids = {"visitor_id": self.shopper.visitor_id, "session_id": self.shopper.session_id}
        return {**ids, "user_id": self.shopper.user_id} if self.shopper.user_id else ids

    def report(self, name: str, *item_ids: str, **more: Any) -> dict[str, Any]:
        """Note an event of this moment."""
        event = {
            "event_id": f"{self.shopper.session_id}-{len(self.events)}",
            "event_name": name,
            "event_time": self.clock().isoformat(),
            "items": [{"item_id": item_id, "price": self.shop.price(item_id)} for item_id in item_ids],
            **more,
        }
        self.events.append(event)
        if "attribution_token" not in more:
            self.behaviour.append(event)
        return event

    def page(self, page: Mapping[str, Any]) -> Pages:
        """Open a page and look through its lists; the items that were clicked."""
        body = {
            **self.ids,
            "page": dict(page),
            "context": {"cart_item_ids": self.cart},
            "events": self.behaviour,
            "placements": [{"placement": name} for name in PLACEMENTS[page["type"]]],
            "options": {"explain": "none"},
        }
        answer = yield RECOMMENDATIONS, body
        self.visited.count_pages += 1
        lists = [entry for entry in answer["placements"] if entry.get("items") and entry.get("experiment")]
        return [item for n, entry in enumerate(lists) for item in self._look(entry, LIST_IN_VIEW**n)]

    def products(self, clicked: Sequence[str]) -> Generator[Call, Any, None]:
        """Open what was clicked, else something of what the visit is for; put some of it into the cart."""
        wanted = self.shop.bought[self.shopper.intent]
        opened = [*clicked, wanted[int(self.rng.integers(len(wanted)))]][:MOST_PRODUCTS]
        for item_id in opened:
            self.report("view_item", item_id)
            yield from self.page({"type": "product", "item_id": item_id})
            if self.rng.random() < ADDS:
                self.report("add_to_cart", item_id)
                self.cart.append(item_id)
                self.visited.count_added += 1
            if self.rng.random() >= OPENS_ANOTHER:
                return

    def checkout(self) -> Generator[Call, Any, None]:
        """Look at the cart; perhaps order it."""
        self.report("view_cart", *self.cart)
        yield from self.page({"type": "cart"})
        if self.rng.random() < BUYS:
            self.report("purchase", *self.cart, transaction_id=f"T-{self.shopper.session_id}")
            self.visited.count_orders += 1
            self.visited.spent += sum(map(self.shop.price, self.cart))
            self.cart = []
            yield from self.page({"type": "order"})

    def _look(self, entry: Mapping[str, Any], in_view: float) -> list[str]:
        """Look at one list, if it comes into view; the clicked item, if any."""
        if self.rng.random() >= in_view:
            return []
        ids = [item["item_id"] for item in entry["items"]]
        wanted = attraction(self.shop, self.shopper.taste, self.shopper.intent, ids)
        result = look(self.clicking.chances(wanted), self.rng)
        cell = (entry["placement"], entry["experiment"]["variant"])
        about = {"item_list_id": entry["item_list_id"], "attribution_token": entry["attribution_token"]}
        self.visited.attractions.append((cell, wanted))
        self.report("view_item_list", *ids[: result.count_seen], visible=True, **about)
        self.visited.exposures[cell] += 1
        if result.clicked is None:
            return []
        self.report("select_item", ids[result.clicked], **about)
        self.visited.clicks[cell] += 1
        return [ids[result.clicked]]


PLACEMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    page: tuple(placement.placement_id for placement in DEFAULT if placement.page == page)
    for page in ("home", "category", "search", "product", "cart", "order")
}
