"""Assign a visitor's variants in the placements asked for, from the cached snapshot: no read, no write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recommender.domain.experiments.running.assignment import Assignment, assign
from recommender.ports import SnapshotSource


@dataclass(frozen=True, slots=True)
class Assignments:
    """One assignment a placement. `degraded` where no snapshot could be read: then nothing is counted."""

    by_placement: Mapping[str, Assignment]
    degraded: bool = False


def assign_variants(visitor_id: str, placements: Sequence[str], *, snapshots: SnapshotSource) -> Assignments:
    """The variants of this visitor; the incumbent everywhere while the snapshot cannot be read."""
    snapshot = snapshots.current()
    assigned = {placement: assign(snapshot, visitor_id, placement) for placement in placements}
    return Assignments(assigned, degraded=snapshot is None)
