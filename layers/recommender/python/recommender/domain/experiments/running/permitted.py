"""Permission to serve in a placement, and to be shipped there: the one place that knows of kills and roll-backs.

Assignment draws from it, a look decides within it, a promotion makes a default of nothing else, and a report says what
it says. So what is killed serves nowhere again, by whatever steps one gets there.

Decisions: docs/decisions/experiments-operation.md (213).
"""

from __future__ import annotations

from collections.abc import Mapping

from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot

OFF: tuple[str, ...] = ("paused", "killed")  # statuses in which everybody sees the control


def may_serve(config: ExperimentConfig, snapshot: Snapshot, placement: str) -> tuple[str, ...]:
    """The variants that may serve in this placement, the control first.

    The control alone where the experiment is off, where it or the placement was killed, and where what was decided for
    was killed later: nobody has decided for what is left.
    """
    name = config.experiment_id
    if is_off(config, snapshot) or placement_killed(config, snapshot, placement):
        return config.variants[:1]
    allowed = tuple(variant for variant in config.variants if not is_killed(config, snapshot, variant))
    decided = snapshot.decided.get(name, {}).get(placement)
    return config.variants[:1] if decided is not None and decided not in allowed else allowed


def may_ship(config: ExperimentConfig, snapshot: Snapshot, placement: str) -> tuple[str, ...]:
    """The variants that a look may decide for: those that may serve and were not rolled back there."""
    withdrawn = snapshot.withdrawn.get(config.experiment_id, {}).get(placement, ())
    return tuple(variant for variant in may_serve(config, snapshot, placement) if variant not in withdrawn)


def is_killed(config: ExperimentConfig, snapshot: Snapshot, variant: str) -> bool:
    """True for a challenger that was taken off everywhere; the control is what a kill falls back to."""
    return variant != config.control and f"{config.experiment_id}/{variant}" in snapshot.killed


def placement_killed(config: ExperimentConfig, snapshot: Snapshot, placement: str) -> bool:
    """True where everything but the control was taken off this placement."""
    return f"{config.experiment_id}/{placement}" in snapshot.killed


def is_off(config: ExperimentConfig, snapshot: Snapshot) -> bool:
    """True where the control serves everybody, in every placement."""
    return config.status in OFF or config.experiment_id in snapshot.killed


def policies_after(config: ExperimentConfig, snapshot: Snapshot) -> Mapping[str, str]:
    """placement -> the policy that its decision makes the default: the control where the decided one may not serve."""
    decided = snapshot.decided.get(config.experiment_id, {})
    return {
        placement: variant if variant in may_serve(config, snapshot, placement) else config.control
        for placement, variant in decided.items()
    }
