"""Margins of items, from two small files of the bundle in force; no model is loaded.

Margins change with the bundle, once a day at most, and a guardrail on margin can do without them for a while. So
a bundle that cannot be read leaves what was known before, and the next attempt waits.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np

from recommender.adapters.bundle_files import current_bundle_id, read_manifest
from recommender.contracts.artifacts import ITEM_IDS, ITEM_TABLE, Manifest, file_key
from recommender.domain.models.arrays import Floats, Ids
from recommender.errors import ArtifactRefused, RecommenderError
from recommender.ports import ArtifactStore

TTL_SECONDS: Final = 600.0


def ignore(_failure: RecommenderError) -> None:
    """The default reaction to a bundle that cannot be read."""


class BundleMargins:
    """A MarginSource over the published bundle. `on_failure` is called for every failed read."""

    def __init__(
        self,
        store: ArtifactStore,
        *,
        on_failure: Callable[[RecommenderError], None] = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._on_failure = on_failure
        self._clock = clock
        self._bundle_id = ""
        self._item_ids: Ids = np.array([], "S1")
        self._shares: Floats = np.array([], np.float32)
        self._next_look = -float("inf")

    def margin_shares(self, item_ids: Iterable[str]) -> Mapping[str, float]:
        """Margin as a share of the price, of those items that the bundle knows."""
        self._refresh()
        wanted = sorted(item_ids)
        if not wanted or not len(self._item_ids):
            return {}
        keys = np.array([item_id.encode() for item_id in wanted])
        rows = np.minimum(np.searchsorted(self._item_ids, keys), len(self._item_ids) - 1)
        known = self._item_ids[rows] == keys
        return {wanted[n]: float(self._shares[rows[n]]) for n in np.flatnonzero(known)}

    def _refresh(self) -> None:
        if self._clock() < self._next_look:
            return
        self._next_look = self._clock() + TTL_SECONDS
        try:
            bundle_id = current_bundle_id(self._store)
            if bundle_id != self._bundle_id:
                self._load(bundle_id)
        except RecommenderError as failure:
            self._on_failure(failure)

    def _load(self, bundle_id: str) -> None:
        manifest = read_manifest(self._store, bundle_id)
        item_ids = np.load(io.BytesIO(self._read(manifest, ITEM_IDS)), allow_pickle=False)
        with np.load(io.BytesIO(self._read(manifest, ITEM_TABLE)), allow_pickle=False) as table:
            shares = table["margin_share"]
        if len(item_ids) != len(shares):
            raise ArtifactRefused(f"bundle {bundle_id} has {len(item_ids)} items and {len(shares)} margins")
        self._bundle_id, self._item_ids, self._shares = bundle_id, item_ids, shares

    def _read(self, manifest: Manifest, name: str) -> bytes:
        content = self._store.read(file_key(manifest.bundle_id, name)).content
        if hashlib.sha256(content).hexdigest() != manifest.files[name].sha256:
            raise ArtifactRefused(f"{name} has another SHA-256 than in the manifest: it was altered")
        return content
