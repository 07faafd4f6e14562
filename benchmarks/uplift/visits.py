"""One simulated visit: the pages, clicks and purchases of a visitor with known tastes under a policy.

Each visit has a plan that no policy changes: its category, the pages it opens anyway, its planned purchases. Modules
further down are seen less often, items further right too. A click opens the item's page and may put it in the cart; it
may replace a planned item of the same category, so a click is not always an extra sale. All draws are keyed by visit
and page, so that policies meet the same luck. Letters: I items, G categories, P placements, N items of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from recommender.domain.models.arrays import Doubles, Flags

from benchmarks.uplift.shop import Shop, softmax, wants

SEEN_BY_PLACE: Final = (0.95, 0.7, 0.5, 0.35)  # chance that the first, second, … module of a page comes into view
SEEN_WITHIN: Final = 0.85  # chance that the next item of a module is looked at too
BUYING_SHARE: Final = 0.3  # visits that came to buy something
PLANNED: Final = 1.6  # items they came for, on average
PAGES: Final = 2.5  # further pages opened anyway, on average
CATEGORY_SHARE: Final = 0.3  # of those pages: the category's; the others are products
TAKEN: Final = (-3.0, 0.5)  # log odds that a clicked item goes into the cart: at a want of zero, a unit of want
TAKEN_AT_THE_TILL: Final = 1.0  # more than on a product page
REPLACED: Final = 0.4  # chance that a planned item stays away once something else of its category was taken
PAID: Final = 0.75  # carts that become orders
MOST_PAGES: Final = 14
LONGEST: Final = 8  # items of a module
LUCK: Final = ("home", "category", "product", "clicked", "cart", "at the till", "paid", "order")  # keys of draws

Serve = Callable[["Situation"], Sequence[tuple[str, Sequence[int]]]]  # -> (placement, rows), as the page has them


@dataclass(frozen=True, slots=True)
class Visitor:
    """The visitor's real tastes, and the id that the shop knows (None: never seen)."""

    attraction: Doubles  # (I,)
    interest: Doubles  # (G,)
    owned: Flags  # (I,)
    shopper_id: str | None


@dataclass(frozen=True, slots=True)
class Situation:
    """A page as the shop sees it."""

    visit: int
    page: str
    steps: tuple[tuple[str, int], ...]  # (event name, item row) of the visit so far
    cart: tuple[int, ...]
    shopper_id: str | None
    row: int | None = None  # item of a product page
    category: int | None = None


@dataclass(slots=True)
class Outcome:
    """The outcome of a visit."""

    modules: int = 0  # seen
    clicks: int = 0
    pages: int = 0
    orders: int = 0
    items: int = 0  # of the order
    from_modules: int = 0  # of these: taken from a module
    value_cents: int = 0
    margin_cents: float = 0.0
    looked_at: list[Doubles] = field(default_factory=list)  # wants of the items each module showed, for calibration


@dataclass(frozen=True, slots=True)
class Plan:
    """The part of a visit that no recommendation changes."""

    intent: int
    pages: tuple[tuple[str, int | None], ...]  # after the home page
    planned: tuple[int, ...]  # rows, each on its own product page


def plan(shop: Shop, visitor: Visitor, rng: np.random.Generator) -> Plan:
    """The visit as it would go without any module."""
    intent = int(rng.choice(shop.count_categories, p=visitor.interest))
    chances = softmax(wants(shop, visitor.attraction, intent=intent, owned=visitor.owned))
    planned = tuple(
        int(row) for row in rng.choice(shop.nature.items, 1 + rng.poisson(PLANNED - 1.0), replace=False, p=chances)
    )
    planned = planned if rng.random() < BUYING_SHARE else ()
    pages: list[tuple[str, int | None]] = [("product", row) for row in planned]
    for _ in range(rng.poisson(PAGES)):
        row = int(rng.choice(shop.nature.items, p=chances))
        pages.append(("category", None) if rng.random() < CATEGORY_SHARE else ("product", row))
    return Plan(intent, tuple(pages[n] for n in rng.permutation(len(pages))), planned)


def walk(
    shop: Shop, visitor: Visitor, number: int, serve: Serve, *, seed: int, ease: float, is_watched: bool = False
) -> Outcome:
    """The visit under a policy; `ease` is the log odds of a click on an item of want zero."""
    course = plan(shop, visitor, np.random.default_rng([seed, 4, number]))
    visit = _Walk(shop, visitor, number, serve, course, seed, ease, is_watched)
    queue: list[tuple[str, int | None]] = [("home", None), *course.pages]
    while queue and visit.outcome.pages < MOST_PAGES:
        page, row = queue.pop(0)
        clicked = visit.open(page, row)
        if clicked is not None:
            queue.insert(0, ("clicked", clicked))
    visit.leave()
    return visit.outcome


class _Walk:
    """The state of one visit."""

    def __init__(
        self,
        shop: Shop,
        visitor: Visitor,
        number: int,
        serve: Serve,
        course: Plan,
        seed: int,
        ease: float,
        is_watched: bool,
    ) -> None:
        self._shop, self._visitor, self._number, self._serve = shop, visitor, number, serve
        self._course, self._seed, self._ease, self._is_watched = course, seed, ease, is_watched
        self._steps: list[tuple[str, int]] = []
        self._cart: list[int] = []
        self._taken: list[int] = []
        self.outcome = Outcome()

    def open(self, page: str, row: int | None) -> int | None:
        """Open a page, act on it, and look at its modules; returns the row of a clicked item."""
        luck = self._luck(page, row)
        if row is not None:
            self._steps.append(("view_item", row))
            if page == "clicked" and luck[0] < self._chance_to_take(row):
                self._take(row)
            elif page == "product" and row in self._course.planned and not self._is_replaced(row, luck[0]):
                self._put(row)
        return self._modules("product" if page == "clicked" else page, row, luck)

    def leave(self) -> None:
        """The cart, perhaps a last addition, perhaps payment; clicks after the order sell nothing."""
        if not self._cart:
            return
        clicked = self._modules("cart", None, self._luck("cart"))
        if clicked is not None and self._luck("at the till")[0] < self._chance_to_take(clicked, TAKEN_AT_THE_TILL):
            self._take(clicked)
        if self._luck("paid")[0] >= PAID:
            return
        rows = np.array(self._cart)
        found = self.outcome
        found.orders, found.items, found.from_modules = 1, len(rows), len(self._taken)
        found.value_cents = int(self._shop.price_cents[rows].sum())
        found.margin_cents = float(self._shop.margin_cents[rows].sum())
        self._steps += [("purchase", row) for row in self._cart]
        self._cart = []
        self._modules("order", None, self._luck("order"))

    def _modules(self, page: str, row: int | None, luck: Doubles) -> int | None:
        """Look at the modules of a page until something is clicked."""
        outcome = self.outcome
        outcome.pages += 1
        category = int(self._shop.category[row]) if row is not None else self._course.intent
        lists = self._serve(
            Situation(
                self._number,
                page,
                tuple(self._steps),
                tuple(self._cart),
                self._visitor.shopper_id,
                row if page == "product" else None,
                category if page == "category" else None,
            )
        )
        want = self._wants()
        by_module = luck[1:].reshape(len(SEEN_BY_PLACE), 1 + 2 * LONGEST)
        for (_, rows), draws, chance in zip(lists, by_module, SEEN_BY_PLACE, strict=False):
            if draws[0] >= chance:
                continue
            outcome.modules += 1
            if self._is_watched:
                outcome.looked_at.append(want[list(rows)])
            seen_until = int(np.argmax(np.append(draws[1 : 1 + LONGEST] >= SEEN_WITHIN, True))) + 1
            for shown, draw in zip(rows[:seen_until], draws[1 + LONGEST :], strict=False):
                if draw < chance_of(self._ease + want[shown]):
                    outcome.clicks += 1
                    self._steps.append(("select_item", shown))
                    return shown
        return None

    def _wants(self) -> Doubles:
        cart = tuple(self._cart)
        return wants(
            self._shop, self._visitor.attraction, intent=self._course.intent, owned=self._visitor.owned, cart=cart
        )

    def _chance_to_take(self, row: int, more: float = 0.0) -> float:
        base, slope = TAKEN
        return float(chance_of(base + more + slope * self._wants()[row]))

    def _is_replaced(self, row: int, draw: float) -> bool:
        same = [taken for taken in self._taken if self._shop.category[taken] == self._shop.category[row]]
        return row in self._cart or (bool(same) and draw < REPLACED)

    def _take(self, row: int) -> None:
        if row not in self._cart:
            self._taken.append(row)
            self._put(row)

    def _put(self, row: int) -> None:
        self._cart.append(row)
        self._steps.append(("add_to_cart", row))

    def _luck(self, page: str, row: int | None = None) -> Doubles:
        """Draws of this page of this visit, the same whatever came before: one, and those of each module."""
        key = [self._seed, 5, self._number, LUCK.index(page), 0 if row is None else row + 1]
        return np.random.default_rng(key).random(1 + len(SEEN_BY_PLACE) * (1 + 2 * LONGEST))


def chance_of(log_odds: Doubles | float) -> Doubles:
    """1 / (1 + exp(-x)) of log odds (N,) or one number."""
    chance: Doubles = 1.0 / (1.0 + np.exp(-np.asarray(log_odds, np.float64)))
    return chance
