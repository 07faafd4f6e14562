"""The standby lists in process memory, read when they are first needed and again after a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from recommender.adapters.background import OneAtATime, Start, in_background
from recommender.contracts.artifacts import STANDBY
from recommender.domain.serving.standby import Standby, standby_from_json
from recommender.errors import ArtifactRefused, DependencyDown, NotFound, RecommenderError
from recommender.ports import ArtifactStore

FIRST_WAIT_SECONDS: Final = 1.5  # after the wait for a bundle; both and a breath must fit into a Lambda's ten seconds


class CachedStandby:
    """A StandbySource. `on_failure` is called with each failed read; what was read before serves on.

    Reads run in the background: only who has no lists yet waits, and not long.
    """

    def __init__(
        self,
        store: ArtifactStore,
        *,
        ttl_seconds: float,
        on_failure: Callable[[RecommenderError], None] = lambda failure: None,
        clock: Callable[[], float] = time.monotonic,
        start: Start = in_background,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        """Lists of `store`; `clock` gives monotonic seconds."""
        self._store = store
        self._ttl_seconds = ttl_seconds
        self._on_failure = on_failure
        self._clock = clock
        self._reads = OneAtATime(clock=clock, start=start)
        self._first_wait_seconds = first_wait_seconds
        self._standby: Standby | None = None
        self._read_again_at = -float("inf")

    def current(self) -> Standby:
        """The newest lists that could be read. Raises DependencyDown where there are none."""
        if self._clock() >= self._read_again_at:
            self._reads.begin(self._read)
        if self._standby is None:
            self._reads.wait(self._first_wait_seconds)
        if self._standby is None:
            raise DependencyDown("no standby lists could be read")
        return self._standby

    def _read(self) -> None:
        try:
            self._standby = standby_from_json(self._store.read(STANDBY).content)
        except (ArtifactRefused, NotFound, DependencyDown) as failure:
            self._on_failure(failure)
        finally:
            self._read_again_at = self._clock() + self._ttl_seconds
