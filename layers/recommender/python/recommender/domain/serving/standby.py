"""The lists that serve while no bundle can be loaded: a few hundred popular items with what a shop shows of them.

Publishing keeps them in one small file beside the pointer. Its reader takes whatever it understands and shares no step
with the loading of bundles, so that what breaks a bundle, such as code of another version, does not break this.

Decisions: docs/decisions/serving.md (241).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from recommender.contracts.placements import ALWAYS, HIDDEN_REASONS, Placement
from recommender.errors import ArtifactRefused

MAX_PRICE_CENTS: Final = 10**11


@dataclass(frozen=True, slots=True)
class StandbyItem:
    """An item as a shop shows it."""

    item_id: str
    title: str
    category: str
    price_cents: int


@dataclass(frozen=True, slots=True)
class StandbyList:
    """The items of one placement under `name`, or why it is hidden."""

    items: tuple[StandbyItem, ...]
    name: str
    hidden_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Standby:
    """Items, the most popular first, and the ids that each placement shows first."""

    items: Mapping[str, StandbyItem]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The content of the file."""
        facts = [
            {"item_id": one.item_id, "title": one.title, "category": one.category, "price_cents": one.price_cents}
            for one in self.items.values()
        ]
        return json.dumps({"items": facts, "lists": {name: list(ids) for name, ids in self.lists.items()}}).encode()


def standby_from_json(content: bytes) -> Standby:
    """Parse the file; entries that are no items are skipped.

    Raises ArtifactRefused where no item is left.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactRefused(f"the standby lists are no JSON: {error!r}") from error
    found = body if isinstance(body, dict) else {}
    items = {item.item_id: item for item in _items(found.get("items"))}
    if not items:
        raise ArtifactRefused("the standby lists hold no item")
    lists = found.get("lists")
    kept = {
        str(name): tuple(item_id for item_id in ids if isinstance(item_id, str) and item_id in items)
        for name, ids in (lists.items() if isinstance(lists, dict) else ())
        if isinstance(ids, list)
    }
    return Standby(items, kept)


def standby_lists(
    standby: Standby,
    requested: Sequence[tuple[Placement, int]],
    *,
    left_out: frozenset[str],
    gone: frozenset[str],
    prices: Mapping[str, int],
) -> list[StandbyList]:
    """The lists of a page, in order, each with its number of items; no item stands twice.

    `left_out` are the page's own item and the cart, `gone` is not for sale, `prices` (cents) replace the file's.
    Only a promise that is always true can be kept here; where a placement has none, its list is hidden.
    """
    shown = set(left_out | gone)
    lists: list[StandbyList] = []
    for placement, limit in requested:
        promise = next((promise for promise in placement.promises if promise.needs == ALWAYS), None)
        if promise is None:
            lists.append(StandbyList((), placement.name, HIDDEN_REASONS[placement.needs]))
            continue
        ids = dict.fromkeys((*standby.lists.get(placement.placement_id, ()), *standby.items))
        chosen = [item_id for item_id in ids if item_id not in shown][:limit]
        shown.update(chosen)
        lists.append(StandbyList(tuple(_priced(standby.items[one], prices) for one in chosen), promise.name))
    return lists


def _priced(item: StandbyItem, prices: Mapping[str, int]) -> StandbyItem:
    return StandbyItem(item.item_id, item.title, item.category, prices.get(item.item_id, item.price_cents))


def _items(entries: Any) -> Iterator[StandbyItem]:
    for entry in entries if isinstance(entries, list) else ():
        facts = entry if isinstance(entry, dict) else {}
        texts = [facts.get(name) for name in ("item_id", "title", "category")]
        cents = facts.get("price_cents")
        is_text = all(isinstance(text, str) for text in texts)
        if is_text and isinstance(cents, int) and not isinstance(cents, bool) and 0 <= cents <= MAX_PRICE_CENTS:
            yield StandbyItem(facts["item_id"], facts["title"], facts["category"], cents)
