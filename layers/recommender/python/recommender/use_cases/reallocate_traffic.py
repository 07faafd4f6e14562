"""End an epoch: read the counters, compute the posterior, put the next weights in force.

No lease is needed. The first run to store an epoch's posterior decides it, every other run acts on the
stored one, and the snapshot is swapped only from the epoch that was read: runs that are repeated, race
each other or crash anywhere all arrive at the same next epoch, once per scheduled moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from recommender.domain.experiments.analysis import conclusion, look, weights_of
from recommender.domain.experiments.config import ExperimentConfig, Snapshot
from recommender.errors import Conflict
from recommender.ports import ExperimentStore


@dataclass(frozen=True, slots=True)
class Reallocation:
    """The snapshot in force afterwards (None where there is none), and whether this run put it there."""

    snapshot: Snapshot | None
    is_new: bool


def reallocate_traffic(*, at: datetime, store: ExperimentStore) -> Reallocation:
    """Open the epoch of the scheduled moment `at`; changes nothing where it was opened already."""
    current = store.load_snapshot()
    if current is None:
        return Reallocation(None, False)
    if datetime.fromisoformat(current.created_at) >= at:
        _record(current, at, store)  # a run that crashed after its swap has not written its audit entry
        return Reallocation(current, False)
    weights = dict(current.weights)
    for config in current.configs:
        if config.status == "running":
            weights[config.experiment_id] = _next_weights(config, current.epoch, store)
    follower = replace(current, epoch=current.epoch + 1, created_at=at.isoformat(), weights=weights)
    try:
        store.swap_snapshot(follower)
    except Conflict:
        return Reallocation(store.load_snapshot(), False)
    _record(follower, at, store)
    return Reallocation(follower, True)


def _next_weights(config: ExperimentConfig, epoch: int, store: ExperimentStore) -> dict[str, tuple[float, ...]]:
    """The weights after `epoch`, from the posterior that is stored for it."""
    found = look(config, store.counts(config), epoch=epoch)
    stored = store.save_posterior(config.experiment_id, epoch, conclusion(config, found, epoch=epoch))
    return weights_of(stored)


def _record(snapshot: Snapshot, at: datetime, store: ExperimentStore) -> None:
    """The audit entry of a reallocation; writing it again replaces it by the same."""
    if snapshot.created_at != at.isoformat():
        return
    for config in snapshot.configs:
        if config.status == "running":
            entry = {"action": "reallocate", "epoch": snapshot.epoch, "version": config.version}
            store.append_audit(config.experiment_id, snapshot.created_at, entry)
