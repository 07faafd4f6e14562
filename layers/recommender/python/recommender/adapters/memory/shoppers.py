"""Shoppers in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from recommender.contracts.tables import SHOPPER_TTL_SECONDS
from recommender.domain.shopper import Shopper


class MemoryShoppers:
    """A ShopperStore; `clock` is epoch seconds."""

    def __init__(self, shoppers: Sequence[Shopper] = (), *, clock: Callable[[], float] = time.time) -> None:
        self._shoppers: dict[str, tuple[Shopper, float]] = {}
        self._clock = clock
        self.save(shoppers)

    def load(self, shopper_id: str) -> Shopper | None:
        """The shopper, or None where there is none or its time is over."""
        shopper, expires_at = self._shoppers.get(shopper_id, (None, 0.0))
        return shopper if expires_at > self._clock() else None

    def save(self, shoppers: Sequence[Shopper]) -> None:
        """Store these shoppers, replacing older versions."""
        expires_at = self._clock() + SHOPPER_TTL_SECONDS
        self._shoppers |= {shopper.shopper_id: (shopper, expires_at) for shopper in shoppers}
