"""The bundle of a canary in process memory, beside the one in force and only while a canary is in force.

Nobody waits for it: until it is there its pages come from the bundle in force.
"""

from __future__ import annotations

from recommender.adapters.bundle_loads import BundleLoads
from recommender.domain.bundle import Bundle
from recommender.errors import DependencyDown, RecommenderError


class CachedCanary:
    """A CanarySource over loads; a bundle that could not be loaded is tried again after `retry_seconds`."""

    def __init__(self, loads: BundleLoads, *, retry_seconds: float) -> None:
        self._loads = loads
        self._retry_seconds = retry_seconds
        self._bundle: Bundle | None = None
        self._wanted = ""
        self._failed = ""
        self._next_try_at = -float("inf")

    def current(self, bundle_id: str) -> Bundle:
        """This bundle. Never waits: raises DependencyDown while it is being loaded, and where it was refused."""
        self._wanted = bundle_id
        if self._held(bundle_id) is None and self._may_try(bundle_id):
            self._loads.begin(self._load)
        bundle = self._held(bundle_id)
        if bundle is None:
            raise DependencyDown(f"canary bundle {bundle_id} is not loaded")
        return bundle

    def release(self) -> None:
        """Let go of the bundle and its files; a load that is under way is let go of when it ends."""
        if self._wanted:
            self._wanted = self._failed = ""
            self._bundle = None
            self._loads.keep_only(set())

    def _held(self, bundle_id: str) -> Bundle | None:
        bundle = self._bundle
        return bundle if bundle is not None and bundle.bundle_id == bundle_id else None

    def _may_try(self, bundle_id: str) -> bool:
        return bundle_id != self._failed or self._loads.clock() >= self._next_try_at

    def _load(self) -> None:
        bundle_id = self._wanted
        try:
            self._bundle = None  # another canary's bundle goes first: two are held at most, never three
            if bundle_id:
                bundle = self._loads.load(bundle_id)
                self._bundle = bundle if self._wanted == bundle_id else None
            self._loads.keep_only({self._wanted})
        except RecommenderError:
            self._failed, self._next_try_at = bundle_id, self._loads.clock() + self._retry_seconds
            raise
