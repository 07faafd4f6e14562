"""The kinds of events: one table that the API, the visit, the counters, training, imports and the marts follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

EXPOSURE: Final = "exposure"  # the list was seen: at most once per (recommendation, placement)
CLICK: Final = "click"  # an item of it was chosen: at most once, and never without its exposure
ORDER: Final = "order"  # a purchase: at most once per transaction id of a session
REFUND: Final = "refund"  # of these items of this transaction: at most once in a session
SESSION: Final = "session"  # the first event of its session, of whatever kind
VIEWED: Final = "viewed"
ADDED: Final = "added"
REMOVED: Final = "removed"
BOUGHT: Final = "bought"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """The meaning of one kind of event to each part of the product. A new kind states every field."""

    weight: float  # evidence about the shopper's preference; 0: none
    observation: float  # 1: wanted, negative: refused
    effects: tuple[str, ...]  # what it does to its items in the visit
    rewards: tuple[str, ...]  # what it may add to the counters
    page: str | None  # page type whose context prior counts its items
    ga4: tuple[str, ...]  # names in Google Analytics exports, beside its own
    aliases: tuple[str, ...]  # names in Segment, Google retail and common clickstreams, lower case
    readers: tuple[str, ...]  # SQL, below warehouse/sql, and storefront scripts that name it


# A new kind belongs at the end: credit.py stores their numbers in masks. tests/contracts/test_event_kinds.py holds
# the table against everything that names an event.
EVENT_KINDS: Final[Mapping[str, EventKind]] = {
    "view_item_list": EventKind(
        weight=0.0,
        observation=0.0,
        effects=(),
        rewards=(EXPOSURE,),
        page=None,
        ga4=(),
        aliases=("product_list_viewed",),
        readers=("marts/impressions", "marts/session_events", "marts/sessions", "recommender.js"),
    ),
    "select_item": EventKind(
        weight=1.5,
        observation=1.0,
        effects=(VIEWED,),
        rewards=(EXPOSURE, CLICK),  # who clicks has seen
        page=None,
        ga4=(),
        aliases=("product_clicked", "click"),
        readers=("marts/impressions", "marts/searches", "recommender.js"),
    ),
    "view_item": EventKind(
        weight=1.0,
        observation=1.0,
        effects=(VIEWED,),
        rewards=(),
        page="product",
        ga4=(),
        aliases=("view", "product_viewed", "detail_page_view"),
        readers=(
            "marts/browse_sequences",
            "marts/item_popularity_daily",
            "marts/searches",
            "marts/sessions",
            "shop.js",
        ),
    ),
    "search": EventKind(
        weight=0.0,
        observation=0.0,
        effects=(),
        rewards=(),
        page=None,
        ga4=("view_search_results",),
        aliases=("products_searched",),
        readers=("marts/searches", "marts/session_events", "marts/sessions", "shop.js"),
    ),
    "add_to_cart": EventKind(
        weight=3.0,
        observation=1.0,
        effects=(VIEWED, ADDED),
        rewards=(),
        page="cart",
        ga4=(),
        aliases=("cart", "addtocart", "product_added"),
        readers=(
            "marts/browse_sequences",
            "marts/carts",
            "marts/impressions",
            "marts/item_popularity_daily",
            "marts/sessions",
            "shop.js",
        ),
    ),
    "remove_from_cart": EventKind(
        weight=2.0,
        observation=-0.5,
        effects=(REMOVED,),
        rewards=(),
        page=None,
        ga4=(),
        aliases=("product_removed",),
        readers=("marts/carts", "marts/sessions", "shop.js"),
    ),
    "view_cart": EventKind(
        weight=0.0,
        observation=0.0,
        effects=(),
        rewards=(),
        page=None,
        ga4=(),
        aliases=("cart_viewed", "shopping_cart_page_view"),
        readers=("marts/sessions", "shop.js"),
    ),
    "begin_checkout": EventKind(
        weight=0.0,
        observation=0.0,
        effects=(),
        rewards=(),
        page=None,
        ga4=(),
        aliases=("checkout_started",),
        readers=("marts/sessions",),
    ),
    "purchase": EventKind(
        weight=4.0,
        observation=1.0,
        effects=(VIEWED, BOUGHT),
        rewards=(ORDER,),
        page="order",
        ga4=(),
        aliases=("order_completed", "purchase_complete", "transaction"),
        readers=("marts/impressions", "marts/order_lines", "marts/sessions", "shop.js", "staging/touched"),
    ),
    "refund": EventKind(
        weight=0.0,
        observation=0.0,
        effects=(),
        rewards=(REFUND,),
        page=None,
        ga4=(),
        aliases=("order_refunded",),
        readers=("marts/order_lines", "marts/session_events", "staging/touched", "staging/visit_events"),
    ),
}
EVENT_NAMES: Final = tuple(EVENT_KINDS)
IMPRESSION: Final = "view_item_list"  # counts where the list was in view
