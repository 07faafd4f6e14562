"""Where the shopper is: the page, its anchor, the cart and the moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PageContext:
    """The request's context. `now` is aware; `query_vec` is filled in where a search term was encoded."""

    page: str
    now: datetime
    item_id: str | None = None  # anchor of a product page
    category: str | None = None
    search_term: str | None = None
    cart_item_ids: tuple[str, ...] = ()
    device: str | None = None

    @property
    def anchors(self) -> tuple[str, ...]:
        """What the page is about: its item, then the cart."""
        return ((self.item_id,) if self.item_id else ()) + self.cart_item_ids
