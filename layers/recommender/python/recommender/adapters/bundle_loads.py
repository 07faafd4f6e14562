"""Loading bundles beside the requests: one at a time, failures told and never raised.

What the source of the bundle in force and the source of a canary's have in common. Each has a cache folder of
its own, so that neither clears away what the other has fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recommender.adapters.background import OneAtATime, Start, in_background
from recommender.adapters.bundle import Report, load_bundle
from recommender.adapters.bundle_files import forget_all_but
from recommender.domain.bundle import Bundle
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
        """`clock` gives monotonic seconds; `on_refusal` hears of each load that failed."""
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
