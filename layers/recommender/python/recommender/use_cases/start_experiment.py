"""Put an experiment in force with equal weights. Repeating it, or racing another start, changes nothing."""

from __future__ import annotations

from datetime import datetime

from recommender.domain.experiments.config import ExperimentConfig, Snapshot, with_experiment
from recommender.errors import Conflict
from recommender.ports import ExperimentStore

ATTEMPTS = 5


def start_experiment(config: ExperimentConfig, *, store: ExperimentStore, now: datetime) -> Snapshot:
    """Store the configuration and open an epoch in which it runs; returns the snapshot in force."""
    stored = store.load_config(config.experiment_id)
    if stored is None:
        store.save_config(config)
        stored = config
    for _ in range(ATTEMPTS):
        current = store.load_snapshot()
        if current is not None and current.config(stored.experiment_id) is not None:
            return current
        try:
            store.swap_snapshot(with_experiment(current, stored, now))
        except Conflict:
            continue  # a reallocation was first: open the epoch after it
        store.append_audit(stored.experiment_id, now.isoformat(), {"action": "start", "version": stored.version})
    raise Conflict(f"experiment {config.experiment_id} lost {ATTEMPTS} races for the next epoch")
