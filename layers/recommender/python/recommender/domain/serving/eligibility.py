"""The eligibility gate: it comes after ranking, and again after every fallback.

Training learns from sold-out items, serving must not show them, so eligibility is never a feature. A
whole page shares one byte of flags per item; each placement reads the bits of its rules.
Letters: I items, C candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommender.contracts.placements import Placement
from recommender.domain.models.arrays import Flags, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.visit import Session, Shopper

SELLABLE: Final = ("in_stock", "preorder", "backorder")
AVAILABILITIES: Final = (*SELLABLE, "out_of_stock", "discontinued")
BLOCKED: Final = 1  # the page's own item, the cart
OWNED: Final = 2  # bought before or in this visit
SEEN: Final = 4  # looked at in this visit


@dataclass(frozen=True, slots=True)
class Stock:
    """Stock and prices now: the bundle's facts with the overrides laid over them."""

    is_available: Flags  # (I,)
    price_cents: Rows  # (I,)


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of one request. `anchor_price_cents` is None where the page has no anchor."""

    stock: Stock
    flags: NDArray[np.uint8]  # (I,) bits BLOCKED, OWNED, SEEN
    anchor_price_cents: int | None

    def sellable(self, rows: Rows) -> Flags:
        """(C,) in stock, not deleted, and neither the page's own item nor in the cart."""
        sellable: Flags = self.stock.is_available[rows] & ((self.flags[rows] & BLOCKED) == 0)
        return sellable

    def view(self, rows: Rows) -> View:
        """The facts of these candidates, looked up once for all placements."""
        return View(
            self.stock.is_available[rows], self.flags[rows], self.stock.price_cents[rows], self.anchor_price_cents
        )


@dataclass(frozen=True, slots=True)
class View:
    """The gate's facts of C candidates."""

    is_available: Flags  # (C,)
    flags: NDArray[np.uint8]  # (C,)
    price_cents: Rows  # (C,)
    anchor_price_cents: int | None

    def allowed(self, placement: Placement) -> Flags:
        """(C,) sellable, and within what the placement leaves out."""
        left_out = BLOCKED | (OWNED if placement.exclude_owned else 0) | (SEEN if placement.exclude_seen else 0)
        allowed: Flags = self.is_available & ((self.flags & left_out) == 0)
        if placement.price_at_most_anchor and self.anchor_price_cents is not None:
            allowed &= self.price_cents <= self.anchor_price_cents
        return allowed


def current_stock(bundle: Bundle, overrides: Mapping[str, Mapping[str, Any]]) -> Stock:
    """The bundle's stock and prices with overrides of {availability, price_cents, deleted} by item id."""
    if not overrides:
        return Stock(bundle.items.in_stock, bundle.items.price_cents)
    is_available, price_cents = bundle.items.in_stock.copy(), bundle.items.price_cents.copy()
    for row, change in zip(bundle.rows_of(list(overrides)).tolist(), overrides.values(), strict=True):
        if row < 0:
            continue
        if not may_sell(change):
            is_available[row] = False
        elif "availability" in change:
            is_available[row] = True
        if change.get("price_cents") is not None:
            price_cents[row] = change["price_cents"]
    return Stock(is_available, price_cents)


def may_sell(change: Mapping[str, Any]) -> bool:
    """False where an override takes the item off the shelf."""
    return not change.get("deleted") and change.get("availability", SELLABLE[0]) in SELLABLE


def gate(bundle: Bundle, stock: Stock, shopper: Shopper, session: Session, context: PageContext) -> Gate:
    """The rules of this request, from what the shopper has, saw and is looking at."""
    flags = np.zeros(bundle.count_items, np.uint8)
    anchors = _known(bundle, context.anchors)
    _mark(flags, anchors, BLOCKED)
    _mark(flags, _known(bundle, session.cart), BLOCKED)
    _mark(flags, _known(bundle, (*shopper.history.item_ids, *session.bought)), OWNED)
    _mark(flags, _known(bundle, session.viewed), SEEN)
    return Gate(stock, flags, _anchor_price(bundle, stock, context, anchors))


def _known(bundle: Bundle, item_ids: tuple[str, ...]) -> Rows:
    rows = bundle.rows_of(item_ids)
    return rows[rows >= 0]


def _mark(flags: NDArray[np.uint8], rows: Rows, bit: int) -> None:
    flags[rows] |= np.uint8(bit)


def _anchor_price(bundle: Bundle, stock: Stock, context: PageContext, anchors: Rows) -> int | None:
    """The price of the page's item; on a page without one, of the dearest item in the cart."""
    own = _known(bundle, (context.item_id,)) if context.item_id else anchors[:0]
    priced = own if len(own) else anchors
    return int(stock.price_cents[priced].max()) if len(priced) else None
