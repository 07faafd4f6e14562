"""The report of an experiment, computed from its counters at this moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from recommender.domain.experiments.report import report
from recommender.errors import NotFound
from recommender.ports import ExperimentStore


def report_experiment(experiment_id: str, *, store: ExperimentStore, now: datetime) -> dict[str, Any]:
    """Counts, posterior, checks and wording. Raises NotFound for an experiment that never ran."""
    current = store.load_snapshot()
    config = (current.config(experiment_id) if current else None) or store.load_config(experiment_id)
    if config is None or current is None:
        raise NotFound(f"experiment {experiment_id!r} does not exist", code="unknown_experiment")
    counted = [cell for cell in store.counts(config) if cell.epoch <= current.epoch]
    snapshots = store.snapshots(first_epoch=min((cell.epoch for cell in counted), default=current.epoch))
    known = {snapshot.epoch for snapshot in snapshots}
    return report(config, [cell for cell in counted if cell.epoch in known], snapshots, now=now)
