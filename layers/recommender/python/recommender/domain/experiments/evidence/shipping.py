"""Decisions by hand, their promotion to defaults, and the way back from both.

A decision sends all traffic but the floors to one variant of a placement. A promotion makes the decided variants the
defaults and takes the experiment out of force. Undoing a decision gives back the weights from before it; undoing a
promotion gives back the earlier defaults.

Decisions: docs/decisions/experiments-operation.md (126).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from recommender.contracts.fields import problem
from recommender.domain.experiments.evidence.analysis import decided_weights
from recommender.domain.experiments.running.assignment import DEFAULT_VARIANT
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.lifecycle import Step, exchanged, known, next_epoch, without
from recommender.domain.experiments.running.permitted import is_killed, may_serve, placement_killed, policies_after
from recommender.errors import Conflict


def decide(config: ExperimentConfig, snapshot: Snapshot, now: datetime, choices: Mapping[str, str]) -> Step:
    """Ship a variant in some placements or in all (`choices`: placement -> variant); the floors stay as a watch."""
    before = snapshot.decided.get(config.experiment_id, {})
    _check_choices(config, snapshot, choices)
    for placement, variant in choices.items():
        if before.get(placement, variant) != variant:
            raise Conflict(
                f"{placement!r} is decided for {before[placement]!r}; roll the decision back before another one",
                code="already_decided",
            )
    decided = {**before, **choices}
    if decided == before:
        return Step(None, None)
    weights = {
        **snapshot.weights[config.experiment_id],
        **{placement: decided_weights(config, variant) for placement, variant in choices.items()},
    }
    follower = next_epoch(
        snapshot,
        now,
        decided={**snapshot.decided, config.experiment_id: decided},
        weights={**snapshot.weights, config.experiment_id: weights},
    )
    if decided.keys() != set(config.placements):
        return Step(None, follower, {"decided": dict(choices)})
    closed = replace(config, version=config.version + 1, status="decided")
    return Step(closed, exchanged(follower, closed), {"decided": dict(choices)})


def promote(config: ExperimentConfig, snapshot: Snapshot, now: datetime) -> Step:
    """Make what was decided the default of its placements, and take the experiment out of force.

    Where the decided variant may not serve any more, the control becomes the default. Raises Conflict
    `nothing_to_promote` where that is so of every challenger that was decided for.

    What a canary promotes is its bundle, outside of the snapshot: its placements go on with the control's policy.
    """
    _refuse_killed(config, snapshot)
    promoted = replace(config, version=config.version + 1, status="promoted")
    shipped = _policies(config, snapshot)
    follower = without(snapshot, config, defaults={**snapshot.defaults, **shipped})
    return Step(promoted, next_epoch(follower, now), {"defaults": dict(shipped)})


def undo_decision(config: ExperimentConfig, snapshot: Snapshot, now: datetime, history: Sequence[Snapshot]) -> Step:
    """Back to the control: the experiment is paused, undecided, with the weights from before each decision.

    What was rolled back in a placement is not shipped there by a look again; a person may decide for it.
    """
    undone = snapshot.decided.get(config.experiment_id, {})
    if not undone:
        if config.status == "paused":
            return Step(None, None)
        raise Conflict(
            f"nothing of experiment {config.experiment_id!r} is decided or promoted; pause or kill it instead",
            code="nothing_to_roll_back",
        )
    restored = {placement: _weights_before(config, placement, history) for placement in undone}
    withdrawn = dict(snapshot.withdrawn.get(config.experiment_id, {}))
    for placement, variant in undone.items():
        if variant != config.control:
            withdrawn[placement] = tuple(dict.fromkeys((*withdrawn.get(placement, ()), variant)))
    paused = replace(config, version=config.version + 1, status="paused")
    follower = next_epoch(
        snapshot,
        now,
        decided={name: kept for name, kept in snapshot.decided.items() if name != config.experiment_id},
        weights={**snapshot.weights, config.experiment_id: {**snapshot.weights[config.experiment_id], **restored}},
        withdrawn={**snapshot.withdrawn, config.experiment_id: withdrawn},
    )
    facts = {"undone": dict(undone), "may_not_ship": {name: list(gone) for name, gone in withdrawn.items()}}
    return Step(paused, exchanged(follower, paused), facts)


def undo_promotion(
    config: ExperimentConfig,
    snapshot: Snapshot,
    now: datetime,
    *,
    before: Snapshot,
    kept: Collection[str] = (),
) -> Step:
    """The defaults from before the promotion (`before`: the last snapshot with the experiment in force).

    Where the earlier default is the very variant that is rolled back, the control serves instead: a roll-back
    must change what shoppers see; and where it was killed meanwhile. Placements in `kept` were promoted again since,
    and stay.
    """
    shipped = _policies(config, before)
    defaults = dict(snapshot.defaults)
    for placement, variant in shipped.items():
        if placement in kept:
            continue
        earlier = before.defaults.get(placement)
        is_back = variant != config.control and (earlier or DEFAULT_VARIANT) == variant
        is_barred = placement_killed(config, before, placement) or is_killed(config, before, earlier or DEFAULT_VARIANT)
        if is_back or is_barred:
            defaults[placement] = config.control
        elif earlier is None:
            defaults.pop(placement, None)
        else:
            defaults[placement] = earlier
    rolled_back = replace(config, version=config.version + 1, status="rolled_back")
    facts = {"kept": sorted(kept)} if kept else {}
    return Step(rolled_back, next_epoch(snapshot, now, defaults=defaults), facts)


def _policies(config: ExperimentConfig, snapshot: Snapshot) -> Mapping[str, str]:
    """placement -> the policy that its decision makes the default."""
    if config.mode == "canary":
        return dict.fromkeys(config.placements, config.control)
    return policies_after(config, snapshot)


def _refuse_killed(config: ExperimentConfig, snapshot: Snapshot) -> None:
    """Refuse a promotion of which nothing would be left but the control."""
    wanted = {p: v for p, v in snapshot.decided.get(config.experiment_id, {}).items() if v != config.control}
    left = [p for p, variant in wanted.items() if variant in may_serve(config, snapshot, p)]
    if wanted and not left:
        killed = ", ".join(sorted(set(wanted.values())))
        raise Conflict(
            f"experiment {config.experiment_id!r} was decided for {killed}, which was killed since; {config.control} "
            "serves. Roll the decision back, or kill the experiment: there is nothing to promote",
            code="nothing_to_promote",
        )


def _check_choices(config: ExperimentConfig, snapshot: Snapshot, choices: Mapping[str, str]) -> None:
    if config.mode == "canary" and choices.keys() != set(config.placements):
        raise problem("/placements", sorted(choices), "no placements: a canary is decided for all of them at once")
    for placement, variant in choices.items():
        known(placement, config.placements, f"/placements/{placement}")
        known(variant, config.variants, f"/placements/{placement}")
        if variant != config.control and not _may_be_chosen(config, snapshot, placement, variant):
            raise problem(f"/placements/{placement}", variant, "a variant that was not killed")


def _may_be_chosen(config: ExperimentConfig, snapshot: Snapshot, placement: str, variant: str) -> bool:
    """Return whether a person may decide for it: a paused experiment is decided as if it ran."""
    running = replace(config, status="running")
    undecided = replace(snapshot, decided={})
    return variant in may_serve(running, undecided, placement)


def _weights_before(config: ExperimentConfig, placement: str, history: Sequence[Snapshot]) -> tuple[float, ...]:
    """The newest weights from before the placement was decided; those of the first epoch where none are known."""
    for past in reversed(history):
        weights = past.weights.get(config.experiment_id, {})
        if placement in weights and placement not in past.decided.get(config.experiment_id, {}):
            return weights[placement]
    return config.first_weights()[placement]
