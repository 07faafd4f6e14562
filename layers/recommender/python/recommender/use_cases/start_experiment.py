"""Put a first experiment in force. Repeating it, or racing another start, changes nothing.

This is what an installation does once, before anybody administers it; manage_experiments does the rest.
"""

from __future__ import annotations

from datetime import datetime

from recommender.domain.experiments.config import ExperimentConfig, Snapshot, with_experiment
from recommender.errors import Conflict
from recommender.ports import ExperimentStore

ATTEMPTS = 5


def start_experiment(config: ExperimentConfig, *, store: ExperimentStore, now: datetime) -> Snapshot:
    """Store the configuration and open an epoch in which it runs; returns the snapshot in force.

    An experiment that was ended since is not started again.
    """
    for _ in range(ATTEMPTS):
        current, stored = store.load_snapshot(), store.load_config(config.experiment_id)
        ended = stored is not None and stored.status != "running"
        if current is not None and (ended or current.config(config.experiment_id) is not None):
            return current
        chosen = stored or config
        follower = with_experiment(current, chosen, now)
        entry = {"action": "start", "actor": "", "reason": "", "epoch": follower.epoch, "version": chosen.version}
        try:
            store.transition(
                config=None if stored else config,
                snapshot=follower,
                experiment_id=config.experiment_id,
                moment=now.isoformat(),
                entry=entry,
            )
        except Conflict:
            continue  # a reallocation or another start was first
    raise Conflict(f"experiment {config.experiment_id} lost {ATTEMPTS} races for the next epoch")
