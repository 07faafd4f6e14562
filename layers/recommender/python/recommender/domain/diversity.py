"""The walk that fills a list: best first, no item twice on the page, not the same thing over and over.

Two items with the same text are variants of one product to a shopper, so a page shows one of them, and
a list takes only so many from one category. Both are preferences: where they would leave the list
short, the best of what was passed over comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from recommender.contracts.placements import Placement
from recommender.domain.arrays import Rows
from recommender.domain.bundle import Bundle

CATEGORY_SOURCES: Final = frozenset({"similar_content", "category"})  # lists that are about one category


@dataclass(slots=True)
class Shown:
    """What stands on the page already, over all of its lists."""

    rows: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)

    def add(self, row: int, group: int) -> None:
        """Note an item that was placed."""
        self.rows.add(row)
        self.groups.add(group)

    def keep_back(self, bundle: Bundle, rows: Rows | None) -> None:
        """Keep the first of `rows` for the list that it belongs to."""
        if rows is not None and len(rows):
            self.add(int(rows[0]), int(bundle.items.content_row[rows[0]]))

    def let_go(self, bundle: Bundle, rows: Rows | None) -> None:
        """Undo `keep_back`: it is the turn of the list that `rows` belong to."""
        if rows is not None and len(rows):
            self.rows.discard(int(rows[0]))
            self.groups.discard(int(bundle.items.content_row[rows[0]]))


def category_cap(placement: Placement, limit: int) -> int:
    """How many items of one category a list of this size takes: a third, at least two."""
    return limit if CATEGORY_SOURCES & placement.sources.keys() else max(2, limit // 3)


def walk(
    order: Iterable[int],
    *,
    rows: Sequence[int],
    groups: Sequence[int],
    categories: Sequence[int],
    shown: Shown,
    limit: int,
    cap: int,
) -> list[int]:
    """Up to `limit` positions in `order`, best first, that are new to the page; `shown` is left as it is."""
    chosen: list[int] = []
    passed_over: list[int] = []
    taken_groups: set[int] = set()
    per_category: dict[int, int] = {}
    for position in order:
        if rows[position] in shown.rows:
            continue
        group, category = groups[position], categories[position]
        if group in shown.groups or group in taken_groups or per_category.get(category, 0) >= cap:
            passed_over.append(position)
            continue
        chosen.append(position)
        taken_groups.add(group)
        per_category[category] = per_category.get(category, 0) + 1
        if len(chosen) == limit:
            return chosen
    return chosen + passed_over[: limit - len(chosen)]
