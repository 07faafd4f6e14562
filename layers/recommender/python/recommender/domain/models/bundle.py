"""The models and facts of one published bundle, as arrays, in the memory of a serving process or a job.

Letters: I items (rows sorted by item id), D collaborative width, C content width, T distinct texts,
E session width, K neighbours an item, H shopper cohorts.

Decisions: docs/decisions/serving.md (196).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Doubles, Flags, Floats, Ids, Rows
from recommender.domain.models.discovery import Complements, Discovery
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.posterior import Preference, PreferencePrior, start
from recommender.domain.models.prior import Prior
from recommender.domain.models.search import LexicalIndex
from recommender.domain.models.session_knn import SessionIndex

CATEGORIES_KEPT: Final = 256  # whose items are worked out once
CATEGORY_SEPARATOR: Final = " > "

Model = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]  # named tensors in, named tensors out


@dataclass(frozen=True, slots=True)
class ItemTable:
    """Static facts of each item."""

    content_row: Rows  # (I,) row of its text in content_vectors
    category: Rows  # (I,) index into categories
    department: Rows  # (I,) index into departments: the first part of the category path
    brand: Rows  # (I,) index into brands
    categories: Ids  # category paths, utf-8
    departments: Ids
    brands: Ids
    price_cents: Rows  # (I,)
    margin_share: Floats  # (I,)
    in_stock: Flags  # (I,) as of the bundle
    repeat_share: Floats  # (I,) share of its purchases that are repeat purchases
    popularity: Floats  # (I,) log1p of shoppers who bought it
    interpurchase_days: Floats  # (I,) median days between purchases of the same shopper, 0 where unknown


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For each item its K best partners; absent partners have row -1 and score 0."""

    rows: Rows  # (I, K)
    scores: Floats  # (I, K), descending


@dataclass(frozen=True, slots=True)
class Cohorts:
    """The incumbent: one list for each of the 12 customer segments, and one for unknown shoppers (last)."""

    lists: Rows  # (H + 1, K) item rows, best first
    names: Ids  # (H + 1,)


class Catalogue(Protocol):
    """Display facts of an item, read on demand."""

    def describe(self, row: int) -> Mapping[str, Any]:
        """item_id, title, description, category, brand, price_cents of the item in `row`."""


@dataclass(frozen=True)  # no slots: what is cached lives beside the fields
class Bundle:
    """Everything that serving knows from training. What follows from it alone is computed once, and not a request."""

    bundle_id: str
    item_ids: Ids  # (I,) sorted
    catalogue: Catalogue
    items: ItemTable
    item_vectors: Floats  # (I, D)
    content_vectors: Floats  # (T, C)
    session_item_vectors: Floats  # (I, E)
    prior: Prior
    preference: PreferencePrior
    session_index: SessionIndex
    co_purchase: Neighbours
    complements: Complements
    discovery: Discovery
    cohorts: Cohorts
    fallback: Mapping[str, tuple[str, ...]]
    user_tower: Model
    session_encoder: Model
    ranker: Model
    retrieval: Model
    session_retrieval: Model
    encode_query: Callable[[str], Floats]  # text -> (C,)
    lexical: LexicalIndex
    next_item: NextItem | None = None  # None where only purchases are measured: then session-kNN ranks

    @property
    def count_items(self) -> int:
        """I."""
        return len(self.item_ids)

    @cached_property
    def popular(self) -> Rows:
        """(I,) all rows, the most popular first, ties by row."""
        return _best_first(self.prior.log_share)

    @cached_property
    def trending(self) -> Rows:
        """(I,) all rows, the most popular in the short run first, ties by row."""
        return _best_first(self.prior.log_share + self.prior.trend)

    @cached_property
    def category_share(self) -> Doubles:
        """(categories,) share of all recent purchases that fall into each category."""
        weights = np.exp(self.prior.log_share)
        share = np.bincount(self.items.category, weights=weights, minlength=len(self.items.categories))
        return share.astype(np.float64)

    @cached_property
    def in_category(self) -> Callable[[str], Rows]:
        """category path -> (N,) rows of the items in it or below it, the most popular first."""

        def rows_in(category: str) -> Rows:
            wanted = category.encode()
            inside = [
                name == wanted or name.startswith(wanted + CATEGORY_SEPARATOR.encode())
                for name in self.items.categories.tolist()
            ]
            rows: Rows = self.popular[np.array(inside, bool)[self.items.category[self.popular]]]
            return rows

        return lru_cache(maxsize=CATEGORIES_KEPT)(rows_in)

    @cached_property
    def of_kind(self) -> Callable[[int], Rows]:
        """category -> (N,) rows of its items, then of its kind's: the first two parts of its path, as FOOD > FRUIT."""

        def rows_of_kind(category: int) -> Rows:
            path = bytes(self.items.categories[category]).decode()
            kind = CATEGORY_SEPARATOR.join(path.split(CATEGORY_SEPARATOR)[:2])
            around = self.in_category(kind)
            is_own = self.items.category[around] == category
            return np.concatenate([around[is_own], around[~is_own]])

        return lru_cache(maxsize=CATEGORIES_KEPT)(rows_of_kind)

    @cached_property
    def stranger(self) -> Preference:
        """The preference of somebody of whom nothing is known."""
        return start(self.preference)

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """The rows of these ids, in order; -1 for an unknown id."""
        if not item_ids or not self.count_items:
            return np.full(len(item_ids), -1, np.int32)
        # Encoded one by one: numpy would cut what is longer than the column. No id ends with NUL, which numpy ignores.
        wanted = np.array([b"\xff" if item_id.endswith("\0") else item_id.encode() for item_id in item_ids])
        place = np.minimum(np.searchsorted(self.item_ids, wanted), self.count_items - 1)
        return np.where(self.item_ids[place] == wanted, place, -1).astype(np.int32)

    def id_of(self, row: int) -> str:
        """The id of the item in `row`."""
        return bytes(self.item_ids[row]).decode()


def _best_first(scores: Floats) -> Rows:
    return np.argsort(-scores, kind="stable").astype(np.int32)
