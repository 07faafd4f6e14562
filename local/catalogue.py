"""Facts for the shop page, read from the kept bundle: what an item is, and a sample of what there is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recommender.contracts.artifacts import CATALOGUE, CATALOGUE_OFFSETS, CURRENT, FALLBACK, ITEM_IDS


class KeptCatalogue:
    """The catalogue of the bundle that `current.json` of an artifact folder points to."""

    def __init__(self, artifacts: Path) -> None:
        self.bundle_id: str = json.loads((artifacts / CURRENT).read_text())["bundle_id"]
        folder = artifacts / "bundles" / self.bundle_id
        self._ids = np.load(folder / ITEM_IDS, mmap_mode="r")
        self._offsets = np.load(folder / CATALOGUE_OFFSETS, mmap_mode="r")
        self._lines = folder / CATALOGUE
        self._fallback: Mapping[str, Sequence[str]] = json.loads((folder / FALLBACK).read_text())

    def describe(self, item_id: str) -> dict[str, Any] | None:
        """title, description, category, brand and price of an item, or None for an unknown one."""
        wanted = np.bytes_(item_id.encode())
        row = int(np.searchsorted(self._ids, wanted))
        if row >= len(self._ids) or self._ids[row] != wanted:
            return None
        with self._lines.open("rb") as file:
            file.seek(int(self._offsets[row]))
            facts = json.loads(file.read(int(self._offsets[row + 1] - self._offsets[row])))
        facts["price"] = facts.pop("price_cents", 0) / 100
        return dict(facts)

    def popular(self, count: int) -> list[dict[str, Any]]:
        """Items that the precomputed lists agree on, each once."""
        ranks = range(count)
        ids = dict.fromkeys(items[n] for n in ranks for items in self._fallback.values() if n < len(items))
        found = (self.describe(item_id) for item_id in ids)
        return [facts for facts in found if facts is not None][:count]
