"""The bundle of a canary in process memory, beside the one in force and only while a canary is in force.

Nobody waits for it: it is loaded in the background, and until it is there its pages come from the bundle in
force. Its files have a folder of their own, so that neither source clears away what the other has fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from recommender.adapters.bundle import Report, in_background, load_bundle
from recommender.adapters.bundle_files import forget_all_but
from recommender.domain.bundle import Bundle
from recommender.errors import ArtifactRefused, DependencyDown, NotFound, RecommenderError
from recommender.ports import ArtifactStore


class CachedCanary:
    """A CanarySource over an artifact store; a bundle that could not be loaded is tried again after `retry_seconds`."""

    def __init__(
        self,
        store: ArtifactStore,
        cache_dir: Path,
        *,
        retry_seconds: float,
        clock: Callable[[], float],
        on_refusal: Callable[[RecommenderError], None] = lambda error: None,
        report: Report = lambda message: None,
        start: Callable[[Callable[[], None]], None] = in_background,
    ) -> None:
        """`clock` gives monotonic seconds; `on_refusal` hears of each failed load."""
        self._store = store
        self._cache_dir = cache_dir
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._on_refusal = on_refusal
        self._report = report
        self._start = start
        self._loading = threading.Lock()
        self._bundle: Bundle | None = None
        self._wanted = ""
        self._failed = ""
        self._next_try_at = -float("inf")

    def current(self, bundle_id: str) -> Bundle:
        """This bundle. Never waits: raises DependencyDown while it is being loaded, and where it was refused."""
        self._wanted = bundle_id
        if self._held(bundle_id) is None and self._may_try(bundle_id) and self._loading.acquire(blocking=False):
            self._start(self._load_and_release)
        bundle = self._held(bundle_id)
        if bundle is None:
            raise DependencyDown(f"canary bundle {bundle_id} is not loaded")
        return bundle

    def release(self) -> None:
        """Let go of the bundle and its files; a load that is under way is let go of when it ends."""
        if self._wanted:
            self._wanted = self._failed = ""
            self._bundle = None
            forget_all_but(self._cache_dir, set())

    def _held(self, bundle_id: str) -> Bundle | None:
        bundle = self._bundle
        return bundle if bundle is not None and bundle.bundle_id == bundle_id else None

    def _may_try(self, bundle_id: str) -> bool:
        return bundle_id != self._failed or self._clock() >= self._next_try_at

    def _load_and_release(self) -> None:
        bundle_id = self._wanted
        try:
            self._bundle = None  # another canary's bundle goes first: two are held at most, never three
            if bundle_id:
                bundle = load_bundle(self._store, bundle_id, self._cache_dir, report=self._report)
                self._bundle = bundle if self._wanted == bundle_id else None
            forget_all_but(self._cache_dir, {self._wanted})
        except (ArtifactRefused, DependencyDown, NotFound) as error:
            self._failed, self._next_try_at = bundle_id, self._clock() + self._retry_seconds
            self._on_refusal(error)
        finally:
            self._loading.release()
