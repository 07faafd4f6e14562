"""Where each placement stands: what the stored looks decided, with the evidence at the look that decided it.

The report never decides. It reads what the epoch job stored; a decision without such a look was taken by a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from recommender.domain.experiments.config import ExperimentConfig, Snapshot

UNDECIDED: Final = "undecided"
SHIP: Final = "ship"
KEEP: Final = "keep_control"
Record = Mapping[str, Any]  # a stored conclusion
Lift = tuple[float, float, float]  # mean, low, high


@dataclass(frozen=True, slots=True)
class Standing:
    """A placement's decision so far. The figures are those of the look that decided it."""

    placement: str
    status: str = UNDECIDED
    variant: str | None = None  # what serves from then on
    day: float | None = None
    epoch: int | None = None
    z: float | None = None  # of the variant, against the control
    boundary: float | None = None
    lift: Lift | None = None
    expected_loss: float | None = None
    by: str = "rule"  # "rule", or "operator": decided by hand, without a test

    @property
    def passed_boundary(self) -> bool:
        """True where a challenger's z reached the boundary at the look that decided."""
        return self.status == SHIP and None not in (self.z, self.boundary) and (self.z or 0.0) >= (self.boundary or 0.0)


def standings(config: ExperimentConfig, current: Snapshot, records: Sequence[Record]) -> tuple[Standing, ...]:
    """Each placement's standing, in the order of the configuration."""
    in_force = current.decided.get(config.experiment_id, {})
    return tuple(_standing(config, placement, in_force.get(placement), records) for placement in config.placements)


def overall(found: Sequence[Standing]) -> str:
    """undecided, partly_decided or decided."""
    count = sum(standing.status != UNDECIDED for standing in found)
    return "decided" if count == len(found) else "partly_decided" if count else UNDECIDED


def decision_json(config: ExperimentConfig, found: Sequence[Standing], records: Sequence[Record]) -> dict[str, Any]:
    """What was decided, by which rule, and when the next look is."""
    day = float(records[-1].get("day") or 0.0) if records else 0.0
    status = overall(found)
    ahead = [look_day for look_day in config.design.look_days if look_day > day]
    return {
        "status": status,
        "rule": config.design.rule,
        "boundary": newest_boundary(records),
        "error_share": config.design.error_share,
        "expected_loss_limit": config.design.expected_loss,
        "look_days": list(config.design.look_days),
        "next_look_day": ahead[0] if ahead and status != "decided" else None,
        "placements": {standing.placement: _json(standing) for standing in found},
    }


def newest_boundary(records: Sequence[Record]) -> float | None:
    """The limit on z at the newest decision look; None before the first."""
    return next((record["boundary"] for record in reversed(records) if record.get("boundary") is not None), None)


def _standing(config: ExperimentConfig, placement: str, variant: str | None, records: Sequence[Record]) -> Standing:
    """The first look that decided; an older decision is never revised by a younger look."""
    for record in records:
        entry = record["placements"].get(placement, {})
        decision = entry.get("decision", {})
        is_decided = decision.get("status", UNDECIDED) != UNDECIDED
        if is_decided and variant in (None, decision["variant"] or config.control):
            return _decided(config, placement, decision, entry, record)
    if variant is None:
        return Standing(placement)
    status = KEEP if variant == config.control else SHIP
    return Standing(placement, status, variant, by="operator")


def _decided(
    config: ExperimentConfig, placement: str, decision: Mapping[str, Any], entry: Mapping[str, Any], record: Record
) -> Standing:
    variant = decision.get("variant") or config.control
    k = config.variants.index(variant) if variant in config.variants else 0
    has_own = k > 0
    return Standing(
        placement=placement,
        status=decision["status"],
        variant=variant,
        day=decision.get("day"),
        epoch=decision.get("epoch"),
        z=entry["z"][k - 1] if has_own and "z" in entry else None,
        boundary=record.get("boundary"),
        lift=tuple(entry["lifts"][k - 1]) if has_own else None,
        expected_loss=entry["expected_loss"][k],
    )


def _json(standing: Standing) -> dict[str, Any]:
    mean, low, high = standing.lift or (None, None, None)
    return {
        "status": standing.status,
        "variant": standing.variant,
        "by": standing.by,
        "day": standing.day,
        "epoch": standing.epoch,
        "z": standing.z,
        "boundary": standing.boundary,
        "lift_mean": mean,
        "lift_low": low,
        "lift_high": high,
        "expected_loss": standing.expected_loss,
    }
