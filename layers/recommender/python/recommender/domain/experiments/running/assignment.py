"""Assignment of visitors to variants: weighted rendezvous hashing over a snapshot, without a read or a memory.

A unit (a visitor id) draws U_k in (0, 1) for each variant k from one BLAKE2b digest and gets
argmin_k -ln(U_k) / w_k, an exponential race: P(k) = w_k, and raising only w_k moves units only into k.
The salt holds the placement, so that placements are assigned independently of each other and their
estimates can be pooled. The hold-out is hashed first, under a salt of its own that outlives experiments.

Decisions: docs/decisions/experiments-design.md (055, 064).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recommender.contracts.placements import INCUMBENT
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.permitted import may_serve

DEFAULT_VARIANT: Final = "hybrid"  # where no experiment runs on a placement
HOLDOUT_SALT: Final = "holdout:1"
PAGE: Final = "page"  # in place of the placement where a whole page is assigned at once
_TWO_TO_64: Final = 2.0**64


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant of one unit in one placement. `propensity` is its chance among units outside of the hold-out."""

    experiment_id: str  # "" where no experiment runs: nothing is counted
    config_version: int
    epoch: int
    variant: str
    propensity: float
    is_holdout: bool = False


def assign(snapshot: Snapshot | None, unit_id: str, placement: str) -> Assignment:
    """The variant of this unit in this placement.

    Where no experiment runs on the placement the default policy serves. Without a snapshot (None: none
    could be read) the incumbent serves. Both belong to no experiment and are not counted.
    """
    if snapshot is None:
        return Assignment("", 0, 0, INCUMBENT, 1.0)
    config = _running(snapshot.configs, placement)
    if config is None:
        return Assignment("", 0, snapshot.epoch, snapshot.defaults.get(placement, DEFAULT_VARIANT), 1.0)
    weights = live_weights(snapshot, config, placement)
    if weights[0] > 0 and is_held_out(config, unit_id):
        return Assignment(config.experiment_id, config.version, snapshot.epoch, config.control, 1.0, True)
    scope = PAGE if config.mode == "canary" else placement  # one page of a canary comes from one bundle
    chosen = choose(f"{config.experiment_id}:{config.salt}:{scope}", unit_id, weights)
    propensity = weights[chosen] / sum(weights)
    return Assignment(config.experiment_id, config.version, snapshot.epoch, config.variants[chosen], propensity)


def live_weights(snapshot: Snapshot, config: ExperimentConfig, placement: str) -> tuple[float, ...]:
    """The weights that are drawn from: zero where killed; all on the control where the whole test is off."""
    only_control = (1.0, *(0.0,) * (len(config.variants) - 1))
    allowed = may_serve(config, snapshot, placement)
    if allowed == config.variants[:1]:
        return only_control
    weights = snapshot.weights[config.experiment_id][placement]
    if allowed == config.variants:
        return weights
    live = tuple(
        weight if variant in allowed else 0.0 for variant, weight in zip(config.variants, weights, strict=True)
    )
    return live if sum(live) > 0 else only_control


def choose(salt: str, unit_id: str, weights: Sequence[float]) -> int:
    """argmin_k -ln(U_k) / w_k with U_k = (slice k of the digest + 1/2) / 2^64; variants of weight 0 never win."""
    # Always the longest digest: a variant added at the end leaves the draws of the others as they are.
    digest = hashlib.blake2b(f"{salt}|{unit_id}".encode()).digest()
    best, shortest = 0, math.inf
    for k, weight in enumerate(weights):
        if weight > 0:
            uniform = (int.from_bytes(digest[8 * k : 8 * k + 8]) + 0.5) / _TWO_TO_64
            arrival = -math.log(uniform) / weight
            if arrival < shortest:
                best, shortest = k, arrival
    return best


def is_held_out(config: ExperimentConfig, unit_id: str) -> bool:
    """True for the permanent share of units that always see the control, in every experiment alike."""
    return in_holdout(unit_id, config.holdout_share)


def in_holdout(unit_id: str, share: float) -> bool:
    """True for this share of all units; a smaller share is part of a larger one."""
    if share == 0:
        return False
    digest = hashlib.blake2b(f"{HOLDOUT_SALT}|{unit_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * _TWO_TO_64


def _running(configs: Sequence[ExperimentConfig], placement: str) -> ExperimentConfig | None:
    """The first experiment in force on this placement; a draft is not in force."""
    return next((config for config in configs if config.status != "draft" and placement in config.placements), None)
