"""The report of an experiment, computed from its counters at this moment, beside the looks that were stored.

Put a first experiment in force. Repeating it, or racing another start, changes nothing.

This is what an installation does once, before anybody administers it; manage_experiments does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from recommender.domain.experiments.evidence.guardrails import guardrail_to_json, guardrails, variant_guardrails
from recommender.domain.experiments.report.report import Beside, report
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, with_experiment
from recommender.domain.experiments.running.counts import CellCount
from recommender.errors import Conflict, NotFound
from recommender.ports import ExperimentStore

SIMULATED: Final = "simulate"  # action of an audit entry: who moved the clock of this experiment


def report_experiment(experiment_id: str, *, store: ExperimentStore, now: datetime) -> dict[str, Any]:
    """Counts, posterior, decisions, checks and wording. Raises NotFound for an experiment that never ran."""
    current = store.load_snapshot()
    config = (current.config(experiment_id) if current else None) or store.load_config(experiment_id)
    if config is None or current is None:
        raise NotFound(f"experiment {experiment_id!r} does not exist", code="unknown_experiment")
    counted = [cell for cell in store.counts(config) if cell.epoch <= current.epoch]
    records = [record for record in store.posteriors(experiment_id) if record["epoch"] <= current.epoch]
    known_epochs = [cell.epoch for cell in counted] + [int(record["epoch"]) for record in records]
    snapshots = store.snapshots(first_epoch=min(known_epochs, default=current.epoch))
    known = {snapshot.epoch for snapshot in snapshots}
    cells = [cell for cell in counted if cell.epoch in known]
    beside = Beside(
        records=records,
        guardrails=_guardrails(config, cells, snapshots, store),
        is_simulated=_is_simulated(experiment_id, store),
    )
    return report(config, cells, snapshots, now=now, beside=beside)


def _guardrails(
    config: ExperimentConfig, cells: Sequence[CellCount], snapshots: Sequence[Snapshot], store: ExperimentStore
) -> list[dict[str, Any]]:
    """Trade against the hold-out since the first day, and what each variant costs in time and completeness."""
    first = datetime.fromisoformat(snapshots[0].created_at).astimezone(UTC).date()
    trade = guardrails(config, store.shop_counts(first_day=first.isoformat()))
    return [guardrail_to_json(found) for found in (*trade, *variant_guardrails(config, cells))]


def _is_simulated(experiment_id: str, store: ExperimentStore) -> bool:
    """True where the name or the audit trail says that the visits are simulated."""
    return "simulated" in experiment_id or any(
        entry["action"] == SIMULATED for entry in store.audit_trail(experiment_id)
    )


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
