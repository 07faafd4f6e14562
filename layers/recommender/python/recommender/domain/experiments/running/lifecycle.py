"""The life of an experiment as pure steps: from a configuration and the snapshot in force to the next of both.

    draft ──start──▶ running ◀──pause/resume──▶ paused        kill: from any of them, for good
                        └──decide──▶ decided ──promote──▶ promoted ──rollback──▶ rolled_back
                                        └──rollback──▶ paused, undecided

A step that would change nothing is None, so that repeating a request is harmless. A change of status is a new
version of the configuration; every change opens a new epoch. No step moves time backwards. How decisions are made,
promoted and undone is in shipping.py.

An experiment as administrators see it: its configuration beside what the snapshot does with it.

Decisions: docs/decisions/experiments-operation.md (127, 129).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from recommender.contracts.fields import one_of, problem
from recommender.domain.experiments.running.config import NO_EXPERIMENTS, ExperimentConfig, Snapshot, with_experiment
from recommender.domain.experiments.running.design import constant_for, design_to_json
from recommender.errors import Conflict, FieldProblem, InvalidInput

ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {  # action -> the statuses it may leave
    "start": ("draft",),
    "pause": ("running",),
    "resume": ("paused",),
    "kill": ("draft", "running", "paused", "decided"),
    "decide": ("running", "paused", "decided"),
    "promote": ("decided",),
    "rollback": ("running", "paused", "decided", "promoted"),
}
REPEATED: Final = {  # action -> the status in which it has been done already
    "start": "running",
    "pause": "paused",
    "resume": "running",
    "kill": "killed",
    "promote": "promoted",
    "rollback": "rolled_back",
}
OCCUPYING: Final = ("running", "paused", "decided")  # a killed experiment makes room for the next one
NOT_CALIBRATED: Final = "no boundary is calibrated for this design with"
CHANGED_BY_STEPS: Final = ("version", "status", "started_at")
EDITABLE_WHEN_PAUSED: Final = ("floor_share", "loss_limit")  # all else is what the test was registered as


@dataclass(frozen=True, slots=True)
class Step:
    """The result of a step: a version, a snapshot, or both; `facts` belong into the audit trail."""

    config: ExperimentConfig | None
    snapshot: Snapshot | None
    facts: Mapping[str, Any] = field(default_factory=dict)


def status_of(config: ExperimentConfig, snapshot: Snapshot | None) -> str:
    """The status as it stands: the epoch job decides and kills in the snapshot, without a new version."""
    if snapshot is None or config.status not in OCCUPYING or snapshot.config(config.experiment_id) is None:
        return config.status
    if config.experiment_id in snapshot.killed:
        return "killed"
    all_decided = snapshot.decided.get(config.experiment_id, {}).keys() >= set(config.placements)
    return "decided" if config.status == "running" and all_decided else config.status


def check_action(config: ExperimentConfig, snapshot: Snapshot | None, action: str) -> bool:
    """True where the action has something to do, False where it was done; raises Conflict where it is not allowed."""
    status = status_of(config, snapshot)
    if REPEATED.get(action) == status:
        return False
    if status not in ACTIONS[action]:
        raise Conflict(
            f"experiment {config.experiment_id!r} is {status}; {action} needs one that is {', '.join(ACTIONS[action])}",
            code="wrong_status",
        )
    return True


def draft(wanted: ExperimentConfig, stored: ExperimentConfig | None, snapshot: Snapshot | None, now: datetime) -> Step:
    """The first version of an experiment, or the next one of a draft or of a paused experiment.

    Step(None, None) where exactly this is stored already. A running configuration is never edited.
    """
    if stored is None:
        return Step(replace(wanted, version=1, status="draft", started_at=""), None)
    changed = _differences(wanted, stored)
    if not changed:
        return Step(None, None)
    if stored.status == "draft":
        return Step(replace(wanted, version=stored.version + 1, status="draft", started_at=""), None)
    fixed = [name for name in changed if name not in EDITABLE_WHEN_PAUSED]
    if stored.status != "paused" or snapshot is None or fixed:
        raise Conflict(_no_edit(stored, fixed or changed), code="experiment_not_editable")
    edited = replace(wanted, version=stored.version + 1, status="paused", started_at=stored.started_at)
    return Step(edited, _with_version(snapshot, edited, now), {"changed": changed})


def start(config: ExperimentConfig, snapshot: Snapshot | None, now: datetime) -> Step:
    """Put the experiment in force. Raises Conflict where another one holds a placement; a killed one makes room.

    A claim without a calibrated boundary could never be made, so such a test does not start either.
    """
    current = snapshot or NO_EXPERIMENTS
    if not is_calibrated(config):
        raise Conflict(
            f"experiment {config.experiment_id!r} cannot start: {NOT_CALIBRATED} {len(config.placements)} placements "
            f"and {len(config.variants)} variants; calibrate it, or use a usual design",
            code="boundary_not_calibrated",
        )
    _refuse_overlap(config, current)
    retired = [
        other
        for other in current.configs
        if status_of(other, current) == "killed" and set(other.placements) & set(config.placements)
    ]
    for killed in retired:  # what it served stays as it is: the control
        kept = dict.fromkeys(killed.placements, killed.control)
        current = without(current, killed, defaults={**current.defaults, **kept})
    moment = moment_of(current, now)
    running = replace(config, version=config.version + 1, status="running", started_at=moment.isoformat())
    facts = {"retired": [killed.experiment_id for killed in retired]} if retired else {}
    return Step(running, with_experiment(current, running, moment), facts)


def is_calibrated(config: ExperimentConfig) -> bool:
    """True where the rule needs no boundary or one is known for this design and shape."""
    if config.mode == "canary" or config.design.rule != "claim":
        return True
    known = constant_for(config.design, placements=len(config.placements), variants=len(config.variants))
    return known is not None


def set_status(config: ExperimentConfig, snapshot: Snapshot, status: str, now: datetime) -> Step:
    """Pause or resume: paused, everybody sees the control; the weights wait in the snapshot.

    `facts` name what was rolled back and may not ship.
    """
    changed = replace(config, version=config.version + 1, status=status)
    withdrawn = snapshot.withdrawn.get(config.experiment_id, {})
    facts = {"may_not_ship": {name: list(gone) for name, gone in withdrawn.items()}} if withdrawn else {}
    return Step(changed, _with_version(snapshot, changed, now), facts)


def kill(config: ExperimentConfig, snapshot: Snapshot | None, now: datetime) -> Step:
    """End the whole experiment: everybody sees the control from the next read of the snapshot on."""
    killed = replace(config, version=config.version + 1, status="killed")
    if snapshot is None or snapshot.config(config.experiment_id) is None:
        return Step(killed, None)  # a draft
    return Step(killed, _with_version(snapshot, killed, now))


def kill_part(config: ExperimentConfig, snapshot: Snapshot, now: datetime, *, variant: str, placement: str) -> Step:
    """Take one challenger off everywhere, or everything but the control off one placement (the other name is '')."""
    if variant:
        known(variant, config.variants, "/variant")
        if variant == config.control:
            raise problem("/variant", variant, "a challenger: the control is what a kill falls back to")
    else:
        known(placement, config.placements, "/placement")
    flag = f"{config.experiment_id}/{variant or placement}"
    if flag in snapshot.killed:
        return Step(None, None)
    return Step(None, next_epoch(snapshot, now, killed=snapshot.killed | {flag}), {"killed": flag})


def overlaps(config: ExperimentConfig, snapshot: Snapshot | None) -> dict[str, str]:
    """placement -> the other experiment that holds it now."""
    if snapshot is None:
        return {}
    holders = [other for other in snapshot.configs if status_of(other, snapshot) in OCCUPYING]
    return {
        placement: other.experiment_id
        for placement in config.placements
        for other in holders
        if other.experiment_id != config.experiment_id and placement in other.placements
    }


def check_names(config: ExperimentConfig, placements: Mapping[str, Collection[str]]) -> None:
    """Raise InvalidInput for every placement and variant that does not exist (`placements`: id -> its policies)."""
    wrong = [
        FieldProblem(f"/placements/{n}", repr(name), one_of(name, placements), "unknown_placement")
        for n, name in enumerate(config.placements)
        if name not in placements
    ]
    named = config.variants if config.mode == "test" else config.variants[:1]
    for n, name in enumerate(named):
        for placement in config.placements:
            policies = placements.get(placement, ())
            if policies and name not in policies:
                expected = f"a policy of {placement}: {one_of(name, policies)}"
                wrong.append(FieldProblem(f"/variants/{n}", repr(name), expected, "unknown_variant"))
                break
    if wrong:
        raise InvalidInput(wrong)


def _refuse_overlap(config: ExperimentConfig, snapshot: Snapshot) -> None:
    taken = overlaps(config, snapshot)
    if taken:
        placement, holder = next(iter(taken.items()))
        more = f" and {len(taken) - 1} more of its placements" if len(taken) > 1 else ""
        raise Conflict(
            f"experiment {config.experiment_id!r} cannot start: {holder!r} holds {placement!r}{more}; "
            "kill it, or decide and promote it first",
            code="overlapping_experiments",
        )
    for other in snapshot.configs:
        if config.mode == other.mode == "canary" and status_of(other, snapshot) in OCCUPYING:
            raise Conflict(
                f"canary {other.experiment_id!r} is {other.status} and serving holds one bundle beside the current; "
                f"{config.experiment_id!r} must wait",
                code="overlapping_experiments",
            )


def _differences(wanted: ExperimentConfig, stored: ExperimentConfig) -> list[str]:
    names = [name for name in ExperimentConfig.__dataclass_fields__ if name not in CHANGED_BY_STEPS]
    return [name for name in names if getattr(wanted, name) != getattr(stored, name)]


def _no_edit(stored: ExperimentConfig, changed: Sequence[str]) -> str:
    held = f"experiment {stored.experiment_id!r} is {stored.status} as version {stored.version}"
    fields = ", ".join(changed)
    if stored.status == "running":
        return f"{held}; a running configuration is not edited ({fields}): pause it first, or create a new experiment"
    if stored.status == "paused":
        allowed = " and ".join(EDITABLE_WHEN_PAUSED)
        return f"{held}; only {allowed} may change, not {fields}: create a new experiment"
    return f"{held}; it is over and {fields} cannot change: create a new experiment under another id"


def known(name: str, names: Collection[str], pointer: str) -> None:
    """Refuse a name that is not one of these."""
    if name not in names:
        raise problem(pointer, name, one_of(name, names))


def without(snapshot: Snapshot, config: ExperimentConfig, *, defaults: Mapping[str, str]) -> Snapshot:
    """The snapshot with no trace of an experiment but the defaults."""
    name = config.experiment_id
    return replace(
        snapshot,
        configs=tuple(other for other in snapshot.configs if other.experiment_id != name),
        weights={other: weights for other, weights in snapshot.weights.items() if other != name},
        decided={other: decided for other, decided in snapshot.decided.items() if other != name},
        withdrawn={other: gone for other, gone in snapshot.withdrawn.items() if other != name},
        killed=frozenset(flag for flag in snapshot.killed if flag.partition("/")[0] != name),
        defaults=defaults,
    )


def _with_version(snapshot: Snapshot, config: ExperimentConfig, now: datetime) -> Snapshot:
    return exchanged(next_epoch(snapshot, now), config)


def exchanged(snapshot: Snapshot, config: ExperimentConfig) -> Snapshot:
    """This version in place of the one in force; the order of experiments stays."""
    return replace(
        snapshot,
        configs=tuple(config if other.experiment_id == config.experiment_id else other for other in snapshot.configs),
    )


def next_epoch(snapshot: Snapshot, now: datetime, **changes: Any) -> Snapshot:
    """The snapshot that follows, with these changes."""
    return replace(snapshot, epoch=snapshot.epoch + 1, created_at=moment_of(snapshot, now).isoformat(), **changes)


def moment_of(snapshot: Snapshot, now: datetime) -> datetime:
    """Now, but never before the snapshot in force."""
    return max(now, datetime.fromisoformat(snapshot.created_at)) if snapshot.created_at else now


def overview(config: ExperimentConfig, snapshot: Snapshot | None) -> dict[str, Any]:
    """JSON values; `weights`, `decided` and `killed` are those in force, empty where the experiment is not."""
    name = config.experiment_id
    in_force = snapshot.config(name) if snapshot else None
    shown = in_force or config
    weights = snapshot.weights.get(name, {}) if snapshot and in_force else {}
    return {
        **asdict(shown),
        "status": status_of(shown, snapshot),
        "design": design_to_json(shown.design),
        "look_days": list(shown.design.look_days),
        "in_force": in_force is not None,
        "weights": {placement: list(row) for placement, row in (weights or shown.first_weights()).items()},
        "decided": dict(snapshot.decided.get(name, {})) if snapshot else {},
        "killed": sorted(flag.partition("/")[2] for flag in snapshot.killed if flag.partition("/")[0] == name)
        if snapshot
        else [],
    }
