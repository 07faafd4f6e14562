"""Promises of placements: which one is true for this visitor on this page, and which items keep it.

A list's name must be true. Whether it is kept, renamed or hidden follows from the page and the visitor
and never from the variant, so that the exposures of variants stay comparable; and what keeps a promise is eligible for
every variant alike. Letters: I items, N items that keep a promise.

Decisions: docs/decisions/serving.md (240).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.contracts.placements import ALWAYS, HIDDEN_REASONS, Placement, Promise
from recommender.domain.models.arrays import Flags, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.prior import PageContext
from recommender.domain.models.search import lexical_scores
from recommender.domain.serving.eligibility import Gate
from recommender.domain.serving.visit import Session, Shopper

NOTHING: Final = np.empty(0, np.int32)
ANCHORS: Final = 10  # of a long cart
VISITS: Final = 200  # newest visits with an anchor, whose items were viewed together with it
TRENDING: Final = 500  # items that may be called trending
MATCHES: Final = 100  # items of a search
GOOD_MATCH: Final = 0.5  # of the best match's score
SMALLEST_SCORE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Visit:
    """The shopper, the session and the page: all that assembly knows of the request."""

    shopper: Shopper
    session: Session
    context: PageContext


@dataclass(frozen=True, slots=True)
class Kept:
    """The promise that a list keeps; None: none is true, and `hidden_reason` is the code of the cause."""

    promise: Promise | None
    rows: Rows | None = None  # (N,) the items that keep it, best first; None: any item does
    hidden_reason: str | None = None

    def holds(self, bundle: Bundle, rows: Rows) -> Flags:
        """(C,) whether each of these items keeps the promise."""
        if self.rows is None:
            return np.ones(len(rows), bool)
        keeps = np.zeros(bundle.count_items, bool)  # (I,), cheaper than sorting both
        keeps[self.rows] = True
        return keeps[rows]


def keep_promises(bundle: Bundle, visit: Visit, rules: Gate, placements: Sequence[Placement]) -> list[Kept]:
    """Find the promise that each list of a page keeps, in order.

    A list that only certain items fit gets the first of them that no list before it has been given, so that none
    ends up empty because another one chose first.
    """
    page = _Page(bundle, visit, rules)
    return [page.keep(placement) for placement in placements]


class _Page:
    """The promises of one page: each kind is looked up once, each item given in advance once."""

    def __init__(self, bundle: Bundle, visit: Visit, rules: Gate) -> None:
        self._bundle, self._visit, self._rules = bundle, visit, rules
        self._found: dict[str, Rows | None] = {}
        self._given: set[int] = set()  # rows
        self._groups: set[int] = set()  # their texts

    def keep(self, placement: Placement) -> Kept:
        """The first promise of the placement that is true."""
        for promise in placement.promises:
            if promise.needs not in self._found:
                self._found[promise.needs] = KINDS[promise.needs](self._bundle, self._visit)
            rows = self._found[promise.needs]
            if rows is None:
                return Kept(promise)
            rows = rows[self._rules.view(rows).allowed(placement)]
            first = self._first_free(rows)
            if first is not None:
                return Kept(promise, np.concatenate([rows[first : first + 1], rows[:first], rows[first + 1 :]]))
        return Kept(None, None, HIDDEN_REASONS[placement.needs])

    def _first_free(self, rows: Rows) -> int | None:
        """The place of the first item that no list has been given, which is given now."""
        for place, row in enumerate(rows):
            group = int(self._bundle.items.content_row[row])
            if int(row) not in self._given and group not in self._groups:
                self._given.add(int(row))
                self._groups.add(group)
                return place
        return None


def own_rows(bundle: Bundle, visit: Visit) -> Rows:
    """(N,) what the visitor looked at, newest first, then what was bought, the last purchase first."""
    viewed = tuple(reversed(visit.session.viewed))
    return _distinct(bundle.rows_of((*viewed, *reversed(visit.shopper.history.item_ids))))


def trending_rows(bundle: Bundle, _visit: Visit) -> Rows:
    """(N,) the items bought most of late."""
    return bundle.trending[:TRENDING]


def search_rows(bundle: Bundle, visit: Visit) -> Rows:
    """(N,) the items with the words of the search, the best match first; at least half as good as the best."""
    if not visit.context.search_term:
        return NOTHING
    scores = lexical_scores(bundle.lexical, visit.context.search_term)  # (I,)
    rows = np.flatnonzero(scores >= max(GOOD_MATCH * float(scores.max(initial=0.0)), SMALLEST_SCORE))
    return rows[np.argsort(-scores[rows], kind="stable")][:MATCHES].astype(np.int32)


def similar_rows(bundle: Bundle, visit: Visit) -> Rows:
    """(N,) the items of the kind that the page's item is of, those of its own category first."""
    anchors = _anchors(bundle, visit)
    return bundle.of_kind(int(bundle.items.category[anchors[0]])) if len(anchors) else NOTHING


def co_viewed_rows(bundle: Bundle, visit: Visit) -> Rows:
    """(N,) the items of the newest visits that saw the page's item, the most frequent first, ties by row."""
    index = bundle.session_index
    visits = [
        session
        for anchor in _anchors(bundle, visit).tolist()
        for session in index.item_sessions[index.item_offsets[anchor] : index.item_offsets[anchor + 1]][:VISITS]
    ][:VISITS]
    if not visits:
        return NOTHING
    seen = [index.session_items[index.session_offsets[s] : index.session_offsets[s + 1]] for s in visits]
    rows, counts = np.unique(np.concatenate(seen), return_counts=True)
    found: Rows = rows[np.argsort(-counts, kind="stable")].astype(np.int32)
    return found


def _partners(bundle: Bundle, anchors: Rows) -> Rows:
    """(N,) what was bought together with the anchors, the strongest partners first."""
    if not len(anchors):
        return NOTHING
    rows, scores = bundle.co_purchase.rows[anchors].ravel(), bundle.co_purchase.scores[anchors].ravel()
    return _distinct(rows[np.argsort(-scores, kind="stable")])


def _anchors(bundle: Bundle, visit: Visit) -> Rows:
    """(N,) the page's item and the cart, as far as the bundle knows them."""
    return _known(bundle, visit.context.anchors[:ANCHORS])


def _somebody(bundle: Bundle, visit: Visit) -> Rows | None:
    return None if len(_anchors(bundle, visit)) or len(own_rows(bundle, visit)) else NOTHING


def _category(bundle: Bundle, visit: Visit) -> Rows:
    return bundle.in_category(visit.context.category) if visit.context.category else NOTHING


def _cart_partners(bundle: Bundle, visit: Visit) -> Rows:
    return _partners(bundle, _known(bundle, visit.context.cart_item_ids[:ANCHORS]))


def _always(_bundle: Bundle, _visit: Visit) -> None:
    return None


# What a promise needs -> the only items that keep it, best first; none where it is not kept, None where any item does.
KINDS: Final[Mapping[str, Callable[[Bundle, Visit], Rows | None]]] = {
    ALWAYS: _always,
    "somebody": _somebody,
    "own_items": own_rows,
    "category": _category,
    "search_matches": search_rows,
    "similar": similar_rows,
    "partners": lambda bundle, visit: _partners(bundle, _anchors(bundle, visit)),
    "cart_partners": _cart_partners,
    "co_viewed": co_viewed_rows,
    "trending": trending_rows,
}


def _known(bundle: Bundle, item_ids: tuple[str, ...]) -> Rows:
    rows = bundle.rows_of(item_ids)
    return rows[rows >= 0]


def _distinct(rows: Rows) -> Rows:
    """The known ones of these rows, each at its first place."""
    known = rows[rows >= 0]
    _, first = np.unique(known, return_index=True)
    distinct: Rows = known[np.sort(first)].astype(np.int32)
    return distinct
