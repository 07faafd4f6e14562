"""An experiment as administrators see it: its configuration beside what the snapshot does with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recommender.domain.experiments.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.design import design_to_json
from recommender.domain.experiments.lifecycle import status_of


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
