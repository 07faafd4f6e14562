"""A bundle and a snapshot that are what they are told to be; None is a source that has nothing."""

from __future__ import annotations

from recommender.domain.bundle import Bundle
from recommender.domain.experiments.config import Snapshot
from recommender.domain.standby import Standby
from recommender.errors import DependencyDown


class MemoryBundles:
    """A BundleSource."""

    def __init__(self, bundle: Bundle | None) -> None:
        self.bundle = bundle

    def current(self) -> Bundle:
        """The bundle. Raises DependencyDown where there is none."""
        if self.bundle is None:
            raise DependencyDown("no bundle was ever loaded")
        return self.bundle


class MemoryCanaries:
    """A CanarySource."""

    def __init__(self, bundle: Bundle | None = None) -> None:
        self.bundle = bundle

    def current(self, bundle_id: str) -> Bundle:
        """The bundle of this id. Raises DependencyDown where it holds none or another."""
        if self.bundle is None or self.bundle.bundle_id != bundle_id:
            raise DependencyDown(f"canary bundle {bundle_id} is not loaded")
        return self.bundle

    def release(self) -> None:
        """Hold none."""
        self.bundle = None


class MemorySnapshots:
    """A SnapshotSource."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.snapshot = snapshot

    def current(self) -> Snapshot | None:
        """The snapshot, or None where none was ever read."""
        return self.snapshot


class MemoryStandby:
    """A StandbySource."""

    def __init__(self, standby: Standby | None = None) -> None:
        self.standby = standby

    def current(self) -> Standby:
        """The lists. Raises DependencyDown where there are none."""
        if self.standby is None:
            raise DependencyDown("no standby lists were ever published")
        return self.standby
