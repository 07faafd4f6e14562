"""Background loading of bundles: one at a time, failures reported and never raised.

What the source of the bundle in force and the source of a canary's have in common. Each has a cache folder of
its own, so that neither clears away what the other has fetched.

The bundle in force in process memory: the last good one serves until a newer one has passed its checks.

A process that holds none yet takes the bundle before, where the one in force is refused.

The bundle of a canary in process memory, beside the one in force and only while a canary is in force.

Nobody waits for it: until it is there its pages come from the bundle in force.

Decisions: docs/decisions/bundle.md (044), docs/decisions/experiments-operation.md (148).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from recommender.adapters.background import OneAtATime, Start, in_background
from recommender.adapters.bundle import Report, load_bundle
from recommender.adapters.bundle_files import forget_all_but
from recommender.domain.models.bundle import Bundle
from recommender.errors import ArtifactRefused, DependencyDown, NotFound, RecommenderError
from recommender.pointers import bundles_to_serve
from recommender.ports import ArtifactStore


class BundleLoads:
    """The loads of one source, from an artifact store into a cache folder."""

    def __init__(
        self,
        store: ArtifactStore,
        cache_dir: Path,
        *,
        clock: Callable[[], float],
        on_refusal: Callable[[RecommenderError], None] = lambda error: None,
        report: Report = lambda message: None,
        start: Start = in_background,
    ) -> None:
        """`clock` gives monotonic seconds; `on_refusal` is called for each load that failed."""
        self.clock = clock
        self._store = store
        self._cache_dir = cache_dir
        self._on_refusal = on_refusal
        self._report = report
        self._looks = OneAtATime(clock=clock, start=start)

    def begin(self, task: Callable[[], None]) -> None:
        """Run the task in the background, unless one is running."""
        self._looks.begin(lambda: self._run(task))

    def wait(self, seconds: float) -> None:
        """Until the running task has ended, and no longer than `seconds` from its beginning."""
        self._looks.wait(seconds)

    def bundles_to_serve(self) -> tuple[str, ...]:
        """The ids of the bundle in force and of the one before it."""
        return bundles_to_serve(self._store, self._on_refusal)

    def refuse(self, failure: RecommenderError) -> None:
        """Tell of a failure that the task goes on after."""
        self._on_refusal(failure)

    def load(self, bundle_id: str) -> Bundle:
        """The bundle, every file checked."""
        return load_bundle(self._store, bundle_id, self._cache_dir, report=self._report)

    def keep_only(self, bundle_ids: set[str]) -> None:
        """Clear the folder of the files of other bundles."""
        forget_all_but(self._cache_dir, bundle_ids)

    def _run(self, task: Callable[[], None]) -> None:
        try:
            task()
        except (ArtifactRefused, DependencyDown, NotFound) as error:
            self._on_refusal(error)


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
