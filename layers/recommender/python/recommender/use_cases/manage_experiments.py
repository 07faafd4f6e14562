"""Run a step of an experiment's life against the store: read, compute the step, store it whole, or try again.

The version, the snapshot and the audit entry of a step are one transaction. Whoever loses a race against a
reallocation or another administrator reads again and finds either the step still to do or already done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from recommender.contracts.fields import problem
from recommender.domain.experiments.evidence import shipping
from recommender.domain.experiments.running import lifecycle
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.lifecycle import Step
from recommender.domain.experiments.running.permitted import placement_killed, policies_after
from recommender.errors import Conflict, NotFound
from recommender.ports import ArtifactStore, ExperimentStore
from recommender.use_cases.release_bundle import promote_bundle, roll_back_bundle

ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Order:
    """An administrator's order. `choices` of a decision: placement -> variant, '' for every placement."""

    action: str
    experiment_id: str
    actor: str
    reason: str = ""
    variant: str = ""
    placement: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The configuration and the snapshot afterwards, and whether this order changed anything."""

    config: ExperimentConfig
    snapshot: Snapshot | None
    is_new: bool


def draft_experiment(
    wanted: ExperimentConfig,
    *,
    placements: Mapping[str, Collection[str]],
    store: ExperimentStore,
    now: datetime,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
) -> Outcome:
    """Store a draft, or a new version of a draft or of a paused experiment; `placements`: id -> its policies.

    A dry run refuses what a real one would refuse, and stores nothing.
    """
    lifecycle.check_names(wanted, placements)
    order = Order("create", wanted.experiment_id, actor, reason)
    for _ in range(ATTEMPTS):
        stored, snapshot = _read(wanted.experiment_id, store)
        step = lifecycle.draft(wanted, stored, snapshot, now)
        if step.config is None and stored is not None:
            return Outcome(stored, snapshot, False)
        if dry_run:
            return Outcome(step.config or wanted, snapshot, False)
        if _store(step, order, stored, snapshot, store=store, now=now):
            return Outcome(step.config or wanted, step.snapshot or snapshot, True)
    raise _lost(order)


def change_experiment(
    order: Order, *, store: ExperimentStore, now: datetime, artifacts: ArtifactStore | None = None
) -> Outcome:
    """Start, pause, resume, kill, decide, promote or roll back. Raises NotFound, InvalidInput or Conflict.

    `artifacts` holds the bundles, which promoting a canary flips.
    """
    for _ in range(ATTEMPTS):
        config, snapshot = _read(order.experiment_id, store)
        if config is None:
            raise NotFound(f"experiment {order.experiment_id!r} does not exist", code="unknown_experiment")
        step = _step(order, config, snapshot, store=store, now=now)
        if step.config is None and step.snapshot is None:
            return Outcome(config, snapshot, False)
        _flip(order, config, artifacts, store)
        if _store(step, order, config, snapshot, store=store, now=now):
            return Outcome(step.config or config, step.snapshot or snapshot, True)
    raise _lost(order)


def _step(
    order: Order, config: ExperimentConfig, snapshot: Snapshot | None, *, store: ExperimentStore, now: datetime
) -> Step:
    """The step that this order means at this moment."""
    if not lifecycle.check_action(config, snapshot, order.action):
        return Step(None, None)
    if order.action == "start":
        return lifecycle.start(config, snapshot, now)
    if order.action == "kill" and not (order.variant or order.placement):
        return lifecycle.kill(config, snapshot, now)
    if order.action == "rollback" and config.status == "promoted" and snapshot is not None:
        before = _last_in_force(config, store)
        return shipping.undo_promotion(config, snapshot, now, before=before, kept=_promoted_since(config, store))
    if snapshot is None or snapshot.config(config.experiment_id) is None:
        raise Conflict(f"experiment {config.experiment_id!r} is {config.status}, not in force", code="wrong_status")
    return _step_in_force(order, config, snapshot, store=store, now=now)


def _step_in_force(
    order: Order, config: ExperimentConfig, snapshot: Snapshot, *, store: ExperimentStore, now: datetime
) -> Step:
    match order.action:
        case "pause":
            return lifecycle.set_status(config, snapshot, "paused", now)
        case "resume":
            return lifecycle.set_status(config, snapshot, "running", now)
        case "kill":
            return lifecycle.kill_part(config, snapshot, now, variant=order.variant, placement=order.placement)
        case "decide":
            return shipping.decide(config, snapshot, now, _choices(order, config, snapshot))
        case "promote":
            return shipping.promote(config, snapshot, now)
        case _:
            return shipping.undo_decision(config, snapshot, now, _history(config, store))


def _choices(order: Order, config: ExperimentConfig, snapshot: Snapshot) -> Mapping[str, str]:
    """The placements of the order; where it names none, all of them, with the control in those that were killed."""
    if order.choices:
        return order.choices
    if not order.variant:
        raise problem("/variant", order.variant, "the variant to ship everywhere, or `placements` with one for each")
    return {
        placement: config.control if placement_killed(config, snapshot, placement) else order.variant
        for placement in config.placements
    }


def _read(experiment_id: str, store: ExperimentStore) -> tuple[ExperimentConfig | None, Snapshot | None]:
    """The current version and the snapshot: the version of the snapshot where one is in force."""
    snapshot = store.load_snapshot()  # first, so that a step between the two reads makes this one lose its race
    stored = store.load_config(experiment_id)
    in_force = snapshot.config(experiment_id) if snapshot else None
    return in_force or stored, snapshot


def _store(
    step: Step,
    order: Order,
    config: ExperimentConfig | None,
    snapshot: Snapshot | None,
    *,
    store: ExperimentStore,
    now: datetime,
) -> bool:
    """True where the step is in force now, False where another writer was first."""
    version = (step.config or config or _absent(order)).version
    follower = step.snapshot or snapshot
    epoch = follower.epoch if follower else 0
    entry = {
        "action": order.action,
        "actor": order.actor,
        "reason": order.reason,
        "epoch": epoch,
        "version": version,
        **step.facts,
    }
    try:
        store.transition(
            config=step.config,
            snapshot=step.snapshot,
            experiment_id=order.experiment_id,
            moment=f"{now.isoformat()}|{epoch:08d}|{version:06d}",
            entry=entry,
        )
    except Conflict:
        return False
    return True


def _flip(order: Order, config: ExperimentConfig, artifacts: ArtifactStore | None, store: ExperimentStore) -> None:
    """Promoting or rolling back a canary moves the bundle pointer first; both flips may be repeated."""
    if config.mode != "canary" or artifacts is None or order.action not in ("promote", "rollback"):
        return
    if order.action == "promote" and _shipped(store.load_snapshot(), config):
        promote_bundle(config.bundle_id, artifacts=artifacts)
    if config.status == "promoted" and _shipped(_last_in_force(config, store), config):
        roll_back_bundle(config.bundle_id, artifacts=artifacts)


def _shipped(snapshot: Snapshot | None, config: ExperimentConfig) -> bool:
    """True where a challenger was decided for and may serve."""
    policies = policies_after(config, snapshot) if snapshot else {}
    return any(variant != config.control for variant in policies.values())


def _history(config: ExperimentConfig, store: ExperimentStore) -> list[Snapshot]:
    """The snapshots since the experiment was started."""
    starts = [entry.get("epoch", 1) for entry in store.audit_trail(config.experiment_id) if entry["action"] == "start"]
    return store.snapshots(first_epoch=min(starts, default=1))


def _last_in_force(config: ExperimentConfig, store: ExperimentStore) -> Snapshot:
    """The snapshot that the promotion ended."""
    epoch = _promotion(config.experiment_id, store)
    return store.snapshots(first_epoch=epoch - 1)[0]


def _promoted_since(config: ExperimentConfig, store: ExperimentStore) -> set[str]:
    """The placements whose default a later promotion has set."""
    mine = _promotion(config.experiment_id, store)
    return {
        placement
        for other in store.experiments()
        if other.status == "promoted" and other.experiment_id != config.experiment_id
        for placement in set(other.placements) & set(config.placements)
        if _promotion(other.experiment_id, store) > mine
    }


def _promotion(experiment_id: str, store: ExperimentStore) -> int:
    """The epoch that the newest promotion of an experiment opened."""
    epochs = [entry["epoch"] for entry in store.audit_trail(experiment_id) if entry["action"] == "promote"]
    return int(max(epochs, default=1))


def _absent(order: Order) -> ExperimentConfig:
    raise NotFound(f"experiment {order.experiment_id!r} does not exist", code="unknown_experiment")


def _lost(order: Order) -> Conflict:
    return Conflict(f"{order.action} of experiment {order.experiment_id!r} lost {ATTEMPTS} races; send it again")
