"""The placements: where lists stand on the pages, what each is for, and how each is filled.

A registry is configuration; `default` holds the 12 placements over six page types. `sources` names
the evidence a placement leans on: the ranker scores each candidate once, and a placement adds
`weight * strength` of its sources, so twelve placements cost one ranker call. A list's name is a promise: it names
what must be known for it to be true, and where that is not known the next promise names the list, or it is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PAGE_TYPES: Final = ("home", "category", "search", "product", "cart", "order")
SOURCES: Final = (
    "personal",  # two-tower retrieval with the shopper's or session's vector
    "own_history",  # bought before by this shopper
    "session",  # session-kNN and session encoder on the events of this visit
    "recent",  # viewed in this visit
    "co_purchase",  # bought together with the anchor items
    "similar_content",  # close to the anchor or to the query in content
    "category",  # popular in the page's category
    "prior",  # popularity x recency in context
    "trending",  # recent popularity over long-run popularity
)
# Every source proposes candidates; these do nothing else: what goes with the history, first purchases, the incumbent.
PROPOSERS: Final = (*SOURCES, "history_partners", "discovery", "incumbent")
POLICIES: Final = ("cohorts", "hybrid", "hybrid_margin")  # each is a list in domain/serving/page.py: POLICY_LISTS
FIRST_COMPARED: Final = ("cohorts", "hybrid", "hybrid_margin")  # by the experiment that a new shop starts with
INCUMBENT: Final = "cohorts"
ALWAYS: Final = "always"
HIDDEN_REASONS: Final[
    Mapping[str, str]
] = {  # what a promise needs (domain/serving/promises.py) -> why its list is hidden
    "somebody": "nothing_known",  # anything that the visitor or the page shows: a history, an item, a cart
    "own_items": "no_history",  # items that the visitor has looked at or bought; the list holds nothing else
    "category": "no_category",  # the page's category; the list holds nothing else
    "search_matches": "no_match",  # items with the words of the search; the list holds nothing else
    "similar": "no_anchor",  # items of the kind that the page's item is of; the list holds nothing else
    "partners": "no_partners",  # items bought together with the page's item or the cart; the list holds nothing else
    "cart_partners": "no_cart_partners",  # the same of the cart alone
    "co_viewed": "not_viewed_together",  # items of visits that saw the page's item; the list holds nothing else
    "trending": "nothing_trends",  # what is bought most of late; the list holds nothing else
}
CANARY: Final = "canary"  # in an experiment of mode canary only: the hybrid policy on the bundle that is tried out


@dataclass(frozen=True, slots=True)
class Promise:
    """A name of a list, and the knowledge that makes it true."""

    name: str
    needs: str = ALWAYS


@dataclass(frozen=True, slots=True)
class Placement:
    """One slot. `max_relevance_loss` bounds what the margin policy may give up (share of score)."""

    placement_id: str
    name: str
    page: str
    size: int
    objective: str
    sources: Mapping[str, float] = field(default_factory=dict)
    needs: str = ALWAYS  # what must be known for `name` to be true
    otherwise: tuple[Promise, ...] = ()  # what the list is called where it is not, the first that is true
    exclude_owned: bool = False  # leave out what the shopper has bought
    exclude_seen: bool = False  # leave out what was viewed in this visit
    price_at_most_anchor: bool = False
    max_relevance_loss: float = 0.1
    policies: tuple[str, ...] = POLICIES

    @property
    def promises(self) -> tuple[Promise, ...]:
        """The names of the list, in order of preference; without a true one the list is hidden."""
        return (Promise(self.name, self.needs), *self.otherwise)


# What a list is called that keeps no other promise.
GENERAL: Final = (Promise("You may also like", "somebody"), Promise("Popular right now"))
DEFAULT: Final = (
    Placement(
        "home_hero",
        "Recommended for you",
        "home",
        8,
        "click",
        {"personal": 1.0, "session": 1.0},
        needs="somebody",
        otherwise=GENERAL[1:],
    ),
    Placement(
        "home_continue",
        "Continue where you left off",
        "home",
        6,
        "purchase",
        {"recent": 3.0, "own_history": 2.0},
        needs="own_items",
    ),
    Placement(
        "home_trending",
        "Trending now",
        "home",
        8,
        "click",
        {"trending": 2.0, "prior": 1.0},
        needs="trending",
        otherwise=GENERAL,
        exclude_owned=True,
    ),
    Placement(
        "category_top",
        "Top picks in this category",
        "category",
        8,
        "click",
        {"category": 3.0},
        needs="category",
        otherwise=GENERAL,
    ),
    Placement(
        "search_fallback",
        "You may be looking for",
        "search",
        8,
        "click",
        {"similar_content": 4.0},
        needs="search_matches",
        otherwise=GENERAL,
    ),
    Placement(
        "pdp_similar",
        "Similar items",
        "product",
        6,
        "purchase",
        {"similar_content": 4.0},
        needs="similar",
        otherwise=(Promise("More from this category", "category"), *GENERAL),
        exclude_seen=True,
    ),
    Placement(
        "pdp_bought_together",
        "Bought together",
        "product",
        4,
        "revenue",
        {"co_purchase": 4.0},
        needs="partners",
        exclude_seen=True,
    ),
    Placement(
        "pdp_also_viewed",
        "Others also viewed",
        "product",
        8,
        "click",
        {"session": 3.0},
        needs="co_viewed",
        otherwise=GENERAL,
        exclude_seen=True,
    ),
    Placement(
        "pdp_recently_viewed",
        "Recently viewed and bought",
        "product",
        6,
        "purchase",
        {"recent": 4.0, "own_history": 1.0},
        needs="own_items",
    ),
    Placement(
        "atc_drawer",
        "Add to your order",
        "cart",
        4,
        "margin",
        {"co_purchase": 3.0},
        price_at_most_anchor=True,
        exclude_seen=True,
    ),
    Placement(
        "cart_cross_sell",
        "Goes well with your cart",
        "cart",
        6,
        "margin",
        {"co_purchase": 3.0, "session": 1.0},
        needs="cart_partners",
        otherwise=GENERAL,
    ),
    Placement("order_next", "For your next order", "order", 8, "purchase", {"own_history": 2.0, "personal": 1.0}),
)
REGISTRIES: Final[Mapping[str, tuple[Placement, ...]]] = {"default": DEFAULT}


def registry(name: str) -> Mapping[str, Placement]:
    """The placements of a registry by id. Raises KeyError for an unknown name."""
    return {placement.placement_id: placement for placement in REGISTRIES[name]}
