"""The standby lists in process memory, read when they are first needed and again after a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from recommender.contracts.artifacts import STANDBY
from recommender.domain.standby import Standby, standby_from_json
from recommender.errors import ArtifactRefused, DependencyDown, NotFound, RecommenderError
from recommender.ports import ArtifactStore


class CachedStandby:
    """A StandbySource. `on_failure` is called with each failed read; what was read before serves on."""

    def __init__(
        self,
        store: ArtifactStore,
        *,
        ttl_seconds: float,
        on_failure: Callable[[RecommenderError], None] = lambda failure: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Lists of `store`; `clock` gives monotonic seconds."""
        self._store = store
        self._ttl_seconds = ttl_seconds
        self._on_failure = on_failure
        self._clock = clock
        self._standby: Standby | None = None
        self._read_again_at = -float("inf")

    def current(self) -> Standby:
        """The newest lists that could be read. Raises DependencyDown where there are none."""
        if self._clock() >= self._read_again_at:
            try:
                self._standby = standby_from_json(self._store.read(STANDBY).content)
            except (ArtifactRefused, NotFound, DependencyDown) as failure:
                self._on_failure(failure)
            self._read_again_at = self._clock() + self._ttl_seconds
        if self._standby is None:
            raise DependencyDown("no standby lists could be read")
        return self._standby
