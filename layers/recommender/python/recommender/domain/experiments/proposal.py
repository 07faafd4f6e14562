"""From a request to the configuration that it proposes; raises InvalidInput where it could never run."""

from __future__ import annotations

from recommender.contracts.experiments import ExperimentRequest
from recommender.contracts.fields import problem
from recommender.domain.experiments.config import ExperimentConfig
from recommender.domain.experiments.design import design_from_json


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
