"""Margins that are what they are told to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class MemoryMargins:
    """A MarginSource over a table of item id -> margin share."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.shares = shares

    def margin_shares(self, item_ids: Iterable[str]) -> Mapping[str, float]:
        """Margin as a share of the price, of the items of the table."""
        return {item_id: self.shares[item_id] for item_id in item_ids if item_id in self.shares}
