"""Where each placement stands: what the stored looks decided, with the evidence at the look that decided it.

The report never decides. It reads what the epoch job stored; a decision without such a look was taken by a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from recommender.domain.experiments.evidence.allocation import boundary_at
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.design import constant_for
from recommender.domain.experiments.running.permitted import is_killed, placement_killed

UNDECIDED: Final = "undecided"
SHIP: Final = "ship"
KEEP: Final = "keep_control"
KILLED: Final = "killed"  # the placement, or what was decided for: the control serves
Record = Mapping[str, Any]  # a stored conclusion
Lift = tuple[float, float, float]  # median, low, high


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
    killed: str = ""  # what was killed here: the variant that had been decided for, or the placement itself

    @property
    def passed_boundary(self) -> bool:
        """True where a challenger's z reached the boundary at the look that decided."""
        return self.status == SHIP and None not in (self.z, self.boundary) and (self.z or 0.0) >= (self.boundary or 0.0)

    @property
    def is_better(self) -> bool:
        """True where it may be called better: it passed the boundary, and the interval as printed holds no zero."""
        return self.passed_boundary and self.lift is not None and round(100 * self.lift[1], 1) > 0


def standings(config: ExperimentConfig, last: Snapshot, records: Sequence[Record]) -> tuple[Standing, ...]:
    """Each placement's standing in the last snapshot with the experiment, in the order of the configuration."""
    in_force = last.decided.get(config.experiment_id, {})
    return tuple(
        _off(config, last, placement) or _standing(config, placement, in_force.get(placement), records)
        for placement in config.placements
    )


def _off(config: ExperimentConfig, last: Snapshot, placement: str) -> Standing | None:
    """The standing of a placement where the control serves because of a kill; None where nothing was killed."""
    decided = last.decided.get(config.experiment_id, {}).get(placement)
    if placement_killed(config, last, placement):
        return Standing(placement, KILLED, config.control, killed=placement)
    if decided is not None and is_killed(config, last, decided):
        return Standing(placement, KILLED, config.control, killed=decided)
    return None


def overall(found: Sequence[Standing]) -> str:
    """undecided, partly_decided or decided."""
    count = sum(standing.status != UNDECIDED for standing in found)
    return "decided" if count == len(found) else "partly_decided" if count else UNDECIDED


def decision_json(config: ExperimentConfig, found: Sequence[Standing], records: Sequence[Record]) -> dict[str, Any]:
    """The decision, its rule, the days on which one may fall, and the boundary on each."""
    design = config.design
    day = float(records[-1].get("day") or 0.0) if records else 0.0
    status = overall(found)
    ahead = [look_day for look_day in design.look_days if look_day > day]
    constant = constant_for(design, placements=len(config.placements), variants=len(config.variants))
    limits = [boundary_at(design, constant, look_day) for look_day in design.look_days] if constant else []
    has_looks = config.mode == "test"  # a canary is steered at every epoch
    next_day = ahead[0] if ahead and has_looks and status != "decided" else None
    return {
        "status": status,
        "rule": design.rule,
        "boundary": boundary_at(design, constant, next_day or design.last_day) if constant else None,
        "error_share": design.error_share,
        "expected_loss_limit": design.expected_loss,
        "look_days": list(design.look_days),
        "boundaries": [round(limit, 6) for limit in limits],
        "next_look_day": next_day,
        "placements": {standing.placement: _json(standing) for standing in found},
    }


def _standing(config: ExperimentConfig, placement: str, variant: str | None, records: Sequence[Record]) -> Standing:
    """The newest look that decided for the variant in force; where there is none, a person did."""
    if variant is None:
        return Standing(placement)
    for record in reversed(records):
        entry = record["placements"].get(placement, {})
        decision = entry.get("decision", {})
        is_own = decision.get("epoch") == record["epoch"]  # later looks only repeat what was decided
        if is_own and (decision["variant"] or config.control) == variant:
            return _decided(config, placement, decision, entry, record)
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
    median, low, high = standing.lift or (None, None, None)
    return {
        "status": standing.status,
        "variant": standing.variant,
        "by": standing.by,
        "killed": standing.killed or None,
        "day": standing.day,
        "epoch": standing.epoch,
        "z": standing.z,
        "boundary": standing.boundary,
        "lift_median": median,
        "lift_low": low,
        "lift_high": high,
        "expected_loss": standing.expected_loss,
    }
