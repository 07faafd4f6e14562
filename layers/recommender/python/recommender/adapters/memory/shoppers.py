"""Shoppers in memory."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.domain.shopper import Shopper


class MemoryShoppers:
    """A ShopperStore."""

    def __init__(self, shoppers: Sequence[Shopper] = ()) -> None:
        self._shoppers: dict[str, Shopper] = {}
        self.save(shoppers)

    def load(self, shopper_id: str) -> Shopper | None:
        """The shopper, or None."""
        return self._shoppers.get(shopper_id)

    def save(self, shoppers: Sequence[Shopper]) -> None:
        """Store these shoppers, replacing older versions."""
        self._shoppers |= {shopper.shopper_id: shopper for shopper in shoppers}
