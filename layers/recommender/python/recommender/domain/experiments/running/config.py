"""An experiment's configuration and the snapshot of weights: values that are stored, cached and read by all.

A configuration version is never edited: a change is a new version and opens a new epoch, so that an
old exposure can always be traced to the weights and the variants it was drawn from.

From a request to the configuration that it proposes; raises InvalidInput where it could never run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from recommender.contracts.experiments import ExperimentRequest
from recommender.contracts.fields import problem
from recommender.contracts.placements import CANARY, DEFAULT, FIRST_COMPARED
from recommender.domain.experiments.running.design import Design, design_from_json

STATUSES: Final = ("draft", "running", "paused", "decided", "killed", "promoted", "rolled_back")
IN_FORCE: Final = ("running", "paused", "decided", "killed")  # in the snapshot; the other statuses are not
MODES: Final = ("test", "canary")
CANARY_SHARE: Final = 0.05  # of the traffic of a canary's first epoch
MAX_VARIANTS: Final = 8  # one 8-byte slice of a 64-byte digest each
WEIGHT_TOLERANCE: Final = 1e-6
DEFAULT_EXPERIMENT: Final = "exp_default"


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """One immutable version of an experiment over placements."""

    experiment_id: str
    version: int
    placements: tuple[str, ...]
    variants: tuple[str, ...]  # names of policies; the first is the control
    salt: str
    status: str = "running"  # of STATUSES
    floor_share: float = 0.02
    holdout_share: float = 0.05
    started_at: str = ""
    design: Design = field(default_factory=Design)
    mode: str = "test"  # of MODES; a canary is assigned by page, so that one page comes from one bundle
    loss_limit: float = 0.1  # a challenger that probably loses more of the clicks than this is taken off by itself
    weights: tuple[tuple[float, ...], ...] = ()  # of the first epoch, one row a placement; () for the usual start
    bundle_id: str = ""  # of a canary: the published bundle that it tries out; a newer one never slips in

    def __post_init__(self) -> None:
        """Refuse a configuration that could not be assigned or counted."""
        for pointer, name in self._names():
            if not name or "#" in name or "/" in name:  # they separate the parts of keys and kill flags
                raise problem(pointer, name, "a non-empty name without '#' and '/'")
        if not 2 <= len(set(self.variants)) == len(self.variants) <= MAX_VARIANTS:
            raise problem("/variants", self.variants, f"2 to {MAX_VARIANTS} different names")
        if not 0 < len(set(self.placements)) == len(self.placements):
            raise problem("/placements", self.placements, "at least one placement, each once")
        if self.status not in STATUSES:
            raise problem("/status", self.status, "one of " + ", ".join(STATUSES))
        if self.mode not in MODES:
            raise problem("/mode", self.mode, "one of " + ", ".join(MODES))
        if not 0 < self.loss_limit < 1:
            raise problem("/loss_limit", self.loss_limit, "above 0 and below 1")
        if self.mode == "canary":
            self._check_canary()
        elif CANARY in self.variants:
            raise problem("/variants", self.variants, f"no {CANARY!r}, which only an experiment of mode canary has")
        if not 0 <= self.floor_share * len(self.variants) < 1:
            raise problem("/floor_share", self.floor_share, f"from 0 to below 1/{len(self.variants)}")
        if not 0 <= self.holdout_share < 1:
            raise problem("/holdout_share", self.holdout_share, "from 0 to below 1")
        self._check_weights()

    def _check_weights(self) -> None:
        if self.weights and len(self.weights) != len(self.placements):
            raise problem("/weights", self.weights, f"a row for each of the {len(self.placements)} placements")
        for placement, row in zip(self.placements, self.weights, strict=bool(self.weights)):
            pointer, count = f"/weights/{placement}", len(self.variants)
            if len(row) != count:
                raise problem(pointer, row, f"{count} weights, in the order of the variants")
            if not all(self.floor_share <= weight <= 1 for weight in row):
                raise problem(pointer, row, f"no weight below the floor_share of {self.floor_share} or above 1")
            if abs(math.fsum(row) - 1) > WEIGHT_TOLERANCE:
                raise problem(pointer, row, f"weights that sum to 1; these sum to {math.fsum(row):.6g}")

    def _check_canary(self) -> None:
        if len(self.variants) != 2 or self.variants[1] != CANARY:
            raise problem("/variants", self.variants, f"a policy, then {CANARY!r}: the variants of a canary")
        if not self.bundle_id:
            raise problem("/bundle_id", self.bundle_id, "the id of the published bundle that the canary tries out")

    def _names(self) -> list[tuple[str, str]]:
        return [
            ("/experiment_id", self.experiment_id),
            *((f"/variants/{n}", name) for n, name in enumerate(self.variants)),
            *((f"/placements/{n}", name) for n, name in enumerate(self.placements)),
        ]

    @property
    def control(self) -> str:
        """The incumbent that every other variant is compared with."""
        return self.variants[0]

    def uniform_weights(self) -> Mapping[str, tuple[float, ...]]:
        """Equal weights in every placement."""
        share = 1 / len(self.variants)
        return {placement: (share,) * len(self.variants) for placement in self.placements}

    def first_weights(self) -> Mapping[str, tuple[float, ...]]:
        """Of the first epoch: as configured, else equal in a test and a small share of the traffic for a canary."""
        if self.weights:
            return dict(zip(self.placements, self.weights, strict=True))
        if self.mode == "test":
            return self.uniform_weights()
        return dict.fromkeys(self.placements, (1 - CANARY_SHARE, CANARY_SHARE))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The weights in force: for each experiment and placement one weight per variant."""

    epoch: int
    created_at: str
    configs: tuple[ExperimentConfig, ...]
    weights: Mapping[str, Mapping[str, tuple[float, ...]]]  # experiment -> placement -> weights, in order of variants
    killed: frozenset[str] = frozenset()  # "experiment", "experiment/variant" or "experiment/placement"
    decided: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # experiment -> placement -> variant for good
    defaults: Mapping[str, str] = field(default_factory=dict)  # placement -> promoted policy where no experiment runs
    # experiment -> placement -> variants whose decision was rolled back: shown and counted, not shipped by a look
    withdrawn: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def config(self, experiment_id: str) -> ExperimentConfig | None:
        """The version of this experiment that is in force."""
        return next((config for config in self.configs if config.experiment_id == experiment_id), None)


NO_EXPERIMENTS: Final = Snapshot(0, "", (), {})


def default_config(now: datetime, *, version: int = 1) -> ExperimentConfig:
    """The experiment every installation starts with: all three policies over all 12 placements."""
    return ExperimentConfig(
        experiment_id=DEFAULT_EXPERIMENT,
        version=version,
        placements=tuple(placement.placement_id for placement in DEFAULT),
        variants=FIRST_COMPARED,
        salt=f"{DEFAULT_EXPERIMENT}:1",
        started_at=now.isoformat(),
    )


def with_experiment(current: Snapshot | None, config: ExperimentConfig, now: datetime) -> Snapshot:
    """The next epoch, in which this experiment runs with its first weights beside those already in force."""
    before = current or NO_EXPERIMENTS
    others = tuple(other for other in before.configs if other.experiment_id != config.experiment_id)
    return replace(
        before,
        epoch=before.epoch + 1,
        created_at=now.isoformat(),
        configs=(*others, config),
        weights={**before.weights, config.experiment_id: config.first_weights()},
    )


def first_snapshot(config: ExperimentConfig, now: datetime) -> Snapshot:
    """The first epoch, with a single experiment."""
    return with_experiment(None, config, now)


def config_to_json(config: ExperimentConfig) -> str:
    """Stable JSON: the same configuration is the same bytes."""
    return json.dumps(asdict(config), sort_keys=True, separators=(",", ":"))


def config_from_json(text: str) -> ExperimentConfig:
    """The inverse of `config_to_json`."""
    return _config(json.loads(text))


def snapshot_to_json(snapshot: Snapshot) -> str:
    """Stable JSON: the same snapshot is the same bytes."""
    body = {**asdict(snapshot), "killed": sorted(snapshot.killed)}
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def snapshot_from_json(text: str) -> Snapshot:
    """The inverse of `snapshot_to_json`."""
    body = json.loads(text)
    return Snapshot(
        epoch=body["epoch"],
        created_at=body["created_at"],
        configs=tuple(_config(config) for config in body["configs"]),
        weights={
            experiment: {placement: tuple(weights) for placement, weights in placements.items()}
            for experiment, placements in body["weights"].items()
        },
        killed=frozenset(body["killed"]),
        decided=body.get("decided", {}),
        defaults=body.get("defaults", {}),
        withdrawn={
            experiment: {placement: tuple(variants) for placement, variants in placements.items()}
            for experiment, placements in body.get("withdrawn", {}).items()
        },
    )


def _config(body: Mapping[str, Any]) -> ExperimentConfig:
    read = {
        "placements": tuple(body["placements"]),
        "variants": tuple(body["variants"]),
        "weights": tuple(tuple(row) for row in body.get("weights", ())),
    }
    return ExperimentConfig(**{**body, **read, "design": design_from_json(body["design"])})


def proposed(request: ExperimentRequest, *, bundle_id: str = "") -> ExperimentConfig:
    """The configuration, still without a version. `bundle_id` stands in where a canary names no bundle."""
    if request.mode == "canary" and request.weights:
        raise problem("/weights", request.weights, "no weights: the traffic of a canary is steered by its losses")
    return ExperimentConfig(
        experiment_id=request.experiment_id,
        version=0,
        placements=request.placements,
        variants=request.variants,
        salt=request.salt or f"{request.experiment_id}:1",
        status="draft",
        floor_share=request.floor_share,
        holdout_share=request.holdout_share,
        design=design_from_json(request.design.given()),
        mode=request.mode,
        loss_limit=request.loss_limit,
        bundle_id=request.bundle_id or (bundle_id if request.mode == "canary" else ""),
        weights=tuple(request.weights[placement] for placement in request.placements if request.weights),
    )
