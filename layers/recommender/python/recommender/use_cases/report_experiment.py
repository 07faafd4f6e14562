"""The report of an experiment, computed from its counters at this moment, beside the looks that were stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from recommender.domain.experiments.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.counts import CellCount
from recommender.domain.experiments.guardrails import guardrail_to_json, guardrails, variant_guardrails
from recommender.domain.experiments.report import Beside, report
from recommender.errors import NotFound
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
