"""Catalogue overrides in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MemoryOverrides:
    """CatalogOverrides that a test or a local run sets."""

    def __init__(self, changes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.changes: dict[str, Mapping[str, Any]] = dict(changes or {})

    def current(self) -> Mapping[str, Mapping[str, Any]]:
        """item id -> {availability, price_cents, deleted}."""
        return self.changes
