"""Promote a canary by itself, where its design says after how many days without loss.

Without a time box a canary that does well waits at half of the traffic for an administrator. With one, the run that
ends an epoch on that day or later decides for it and promotes its bundle, by the same two steps that an
administrator takes; a run that dies between them is finished by the next.

Decisions: docs/decisions/experiments-operation.md (149).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from recommender.contracts.placements import CANARY
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.errors import Conflict, NotFound
from recommender.ports import ArtifactStore, ExperimentStore
from recommender.use_cases.manage_experiments import Order, change_experiment

ACTOR: Final = "reallocate_traffic"
PROMOTED: Final = "promoted"


def promote_canaries(*, at: datetime, store: ExperimentStore, artifacts: ArtifactStore) -> dict[str, str]:
    """experiment id -> "promoted", or why its bundle could not go in force; canaries that must wait are left out."""
    snapshot = store.load_snapshot()
    due = [config for config in snapshot.configs if _is_due(config, snapshot, store)] if snapshot else []
    return {config.experiment_id: _promote(config, at=at, store=store, artifacts=artifacts) for config in due}


def _is_due(config: ExperimentConfig, snapshot: Snapshot, store: ExperimentStore) -> bool:
    if config.mode != "canary" or not config.design.time_box_days:
        return False
    if config.status == "decided":
        return set(snapshot.decided.get(config.experiment_id, {}).values()) == {CANARY}
    record = store.posterior(config.experiment_id, snapshot.epoch - 1)
    if config.status != "running" or record is None or record["kills"]:
        return False
    return bool(record["canary"]["state"] == "ready" and record["day"] >= config.design.time_box_days)


def _promote(config: ExperimentConfig, *, at: datetime, store: ExperimentStore, artifacts: ArtifactStore) -> str:
    reason = f"no loss above {config.loss_limit:.0%} of clicks within {config.design.time_box_days} days"
    for action, variant in (("decide", CANARY), ("promote", "")):
        order = Order(action, config.experiment_id, actor=ACTOR, reason=reason, variant=variant)
        try:
            change_experiment(order, store=store, now=at, artifacts=artifacts)
        except (Conflict, NotFound) as refusal:
            return refusal.detail
    return PROMOTED
