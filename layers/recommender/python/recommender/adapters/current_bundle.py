"""The bundle in force in process memory: the last good one serves until a newer one has passed its checks.

A process that holds none yet takes the bundle before, where the one in force is refused.
"""

from __future__ import annotations

from typing import Final

from recommender.adapters.bundle_loads import BundleLoads
from recommender.domain.bundle import Bundle
from recommender.errors import ArtifactRefused, DependencyDown

FIRST_WAIT_SECONDS: Final = 5.0  # what the first callers of a process may wait; a Lambda has ten seconds for all
FIRST_RETRY_SECONDS: Final = 2.0  # how soon to look again while there is no bundle at all


class CachedBundles:
    """The bundle in force, looked up again every `ttl_seconds`; a refused one never replaces a good one.

    Looks run in the background: while there is a bundle nobody waits for the store. Only the first
    callers wait, and not long, so that a store that hangs costs them a fallback and not a timeout.
    """

    def __init__(
        self, loads: BundleLoads, *, ttl_seconds: float, first_wait_seconds: float = FIRST_WAIT_SECONDS
    ) -> None:
        self._loads = loads
        self._ttl_seconds = ttl_seconds
        self._first_wait_seconds = first_wait_seconds
        self._bundle: Bundle | None = None
        self._next_look_at = -float("inf")

    def current(self) -> Bundle:
        """The newest bundle that passed its checks. Raises DependencyDown when there is none at all."""
        if self._loads.clock() >= self._next_look_at:
            self._loads.begin(self._look)
        if self._bundle is None:
            self._loads.wait(self._first_wait_seconds)
        if self._bundle is None:
            raise DependencyDown("no published bundle could be loaded")
        return self._bundle

    def _look(self) -> None:
        try:
            self._take_first_good(self._loads.bundles_to_serve())
        finally:
            wait = self._ttl_seconds if self._bundle else min(self._ttl_seconds, FIRST_RETRY_SECONDS)
            self._next_look_at = self._loads.clock() + wait

    def _take_first_good(self, bundle_ids: tuple[str, ...]) -> None:
        for bundle_id in bundle_ids:
            if self._bundle is not None and self._bundle.bundle_id == bundle_id:
                return
            try:
                self._replace(self._loads.load(bundle_id))
            except ArtifactRefused as refusal:
                self._loads.refuse(refusal)
                if self._bundle is None:
                    continue
            return

    def _replace(self, bundle: Bundle) -> None:
        kept = {bundle.bundle_id} | ({self._bundle.bundle_id} if self._bundle else set())
        self._bundle = bundle
        self._loads.keep_only(kept)
