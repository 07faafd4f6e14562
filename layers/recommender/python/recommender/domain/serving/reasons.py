"""Reasons for an item, as typed codes: its strongest sources, weighted by the placement.

Each code names evidence that the storefront can put into words, with the item (`seed_item_id`) or the
attribute it rests on. Letters: N chosen items, 9 sources of contracts.placements.SOURCES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.contracts.answers import Reason
from recommender.contracts.placements import SOURCES
from recommender.domain.models.arrays import Floats
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.visit import UNKNOWN_COHORT, Session, Shopper

CODES: Final = {
    "personal": "matches_your_taste",
    "own_history": "bought_before",
    "session": "session_affinity",
    "recent": "viewed_recently",
    "co_purchase": "bought_together",
    "similar_content": "similar_content",
    "category": "popular_in_category",
    "prior": "popular",
    "trending": "trending",
}
SEGMENT: Final = "segment"  # the incumbent's list for the shopper's customer segment
FALLBACK: Final = "fallback"  # a precomputed list filled the place
ALL_CODES: Final = (*CODES.values(), SEGMENT, FALLBACK)
BASE_WEIGHT: Final = 0.25  # of a source that the placement does not lean on
SECOND_AT_LEAST: Final = 0.5  # a second reason must be at least this share of the first
ANCHORS: Final = 10  # of a long cart, that reasons can point to


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence that reasons of one request can point to; rows are -1 where there is none."""

    bundle: Bundle
    anchor_rows: tuple[int, ...]
    partners: Mapping[int, int]  # row -> the first anchor that it is bought together with
    last_viewed_row: int
    category: str | None
    search_term: str | None
    viewed: frozenset[str]  # ids of the items looked at in this visit


def evidence(bundle: Bundle, session: Session, context: PageContext) -> Evidence:
    """The anchors of the page, the last item looked at, the category and the search."""
    anchors = (context.anchors or session.cart)[:ANCHORS]
    viewed = session.viewed[-1:]
    rows = bundle.rows_of((*anchors, *viewed)).tolist()
    anchor_rows = tuple(row for row in rows[: len(anchors)] if row >= 0)
    partners: dict[int, int] = {}
    for anchor in reversed(anchor_rows):
        partners |= dict.fromkeys(bundle.co_purchase.rows[anchor].tolist(), anchor)
    return Evidence(
        bundle=bundle,
        anchor_rows=anchor_rows,
        partners=partners,
        last_viewed_row=rows[-1] if viewed else -1,
        category=context.category,
        search_term=context.search_term,
        viewed=frozenset(session.viewed),
    )


def ranked_reasons(
    found: Evidence, rows: Sequence[int], strengths: Floats, weights: Floats
) -> list[tuple[Reason, ...]]:
    """One or two reasons for each of the N items; `strengths` is (N, 9), `weights` what its placement gives each."""
    weighted = strengths * (weights + BASE_WEIGHT)  # (N, 9)
    best_two = np.argsort(-weighted, axis=1)[:, :2]
    values = weighted[np.arange(len(rows))[:, None], best_two].tolist()
    return [
        _reasons(found, row, sources, value)
        for row, sources, value in zip(rows, best_two.tolist(), values, strict=True)
    ]


def promise_reasons(found: Evidence, needs: str, rows: Sequence[int]) -> list[Reason]:
    """Give the reason of each item in a list that only holds items that keep its promise."""
    return [PROMISES[needs](found, row) for row in rows]


def segment_reason(bundle: Bundle, shopper: Shopper) -> Reason:
    """The incumbent's reason: the segment whose list this is; nobody is like a shopper whom nobody has seen."""
    if shopper.cohort == UNKNOWN_COHORT:
        return Reason(CODES["prior"])
    return Reason(SEGMENT, attribute=bytes(bundle.cohorts.names[shopper.cohort]).decode())


def _reasons(found: Evidence, row: int, sources: Sequence[int], values: Sequence[float]) -> tuple[Reason, ...]:
    first, second = values
    if first <= 0:
        return (Reason(CODES["prior"]),)
    count = 2 if second > 0 and second >= SECOND_AT_LEAST * first else 1
    return tuple(_reason(found, row, SOURCES[source]) for source in sources[:count])


def _reason(found: Evidence, row: int, source: str) -> Reason:
    code = CODES[source]
    if source == "category":
        return Reason(code, attribute=found.category)
    first_anchor = _first(found.anchor_rows)
    if source == "co_purchase":
        return Reason(code, seed_item_id=_id(found, found.partners.get(row, first_anchor)))
    if source == "similar_content":
        if first_anchor < 0 and found.search_term:
            return Reason(code, attribute="search_term")
        return Reason(code, seed_item_id=_id(found, first_anchor))
    if source == "session":
        return Reason(code, seed_item_id=_id(found, found.last_viewed_row), attribute=_shared(found, row))
    return Reason(code)


def _shared(found: Evidence, row: int) -> str | None:
    """Name the attribute that the item shares with the one viewed last."""
    if found.last_viewed_row < 0:
        return None
    items = found.bundle.items
    if items.brand[row] == items.brand[found.last_viewed_row]:
        return "brand"
    return "category" if items.category[row] == items.category[found.last_viewed_row] else None


def _id(found: Evidence, row: int) -> str | None:
    return found.bundle.id_of(row) if row >= 0 else None


def _own(found: Evidence, row: int) -> Reason:
    return Reason(CODES["recent" if found.bundle.id_of(row) in found.viewed else "own_history"])


def _of_the_category(found: Evidence, row: int) -> Reason:
    category = found.bundle.items.categories[found.bundle.items.category[row]]
    return Reason(CODES["category"], attribute=bytes(category).decode())


# what a promise needs (contracts/placements.py), where only certain items keep it -> the reason for one of them
PROMISES: Final[Mapping[str, Callable[[Evidence, int], Reason]]] = {
    "own_items": _own,
    "category": lambda found, row: _reason(found, row, "category"),
    "search_matches": lambda _found, _row: Reason(CODES["similar_content"], attribute="search_term"),
    "similar": _of_the_category,
    "partners": lambda found, row: _reason(found, row, "co_purchase"),
    "cart_partners": lambda found, row: _reason(found, row, "co_purchase"),
    "co_viewed": lambda found, _row: Reason(CODES["session"], seed_item_id=_id(found, _first(found.anchor_rows))),
    "trending": lambda _found, _row: Reason(CODES["trending"]),
}


def _first(rows: Sequence[int]) -> int:
    return rows[0] if rows else -1
