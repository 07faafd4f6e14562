"""Whether the process answers, and whether it can answer well: bundle loaded, snapshot read."""

from __future__ import annotations

from typing import Any

from recommender.contracts.api import did_you_mean
from recommender.errors import DependencyDown, NotFound
from recommender.ports import BundleSource, SnapshotSource


def check_health(probe: str, *, bundles: BundleSource, snapshots: SnapshotSource) -> dict[str, Any]:
    """The body of a health probe; `ready` raises DependencyDown where bundle or snapshot is missing."""
    if probe == "live":
        return {"status": "live"}
    if probe != "ready":
        raise NotFound(did_you_mean(probe, ("live", "ready")), code="unknown_probe")
    snapshot = snapshots.current()
    if snapshot is None:
        raise DependencyDown("the experiments' snapshot was never read")
    bundle = bundles.current()
    return {"status": "ready", "model_version": bundle.bundle_id, "epoch": snapshot.epoch, "items": bundle.count_items}
