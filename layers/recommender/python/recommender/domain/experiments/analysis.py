"""One look at an experiment: counts to posterior to the weights of the next epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recommender.domain.arrays import Doubles
from recommender.domain.experiments.allocation import Outlook, lifts, next_weights, outlook, rounded, seed_of
from recommender.domain.experiments.config import ExperimentConfig
from recommender.domain.experiments.counts import CellCount
from recommender.domain.experiments.posterior import TAUS, Posterior, evidence, pool
from recommender.domain.experiments.tally import Tally, design_effect, tally


@dataclass(frozen=True, slots=True)
class Look:
    """What the counts say at the end of an epoch. P placements, K variants."""

    counts: Tally
    design_effect: float
    posterior: Posterior
    outlook: Outlook
    weights: Doubles  # (P, K) of the next epoch


def look(config: ExperimentConfig, cells: Iterable[CellCount], *, epoch: int) -> Look:
    """The analysis at the end of `epoch`; the same counts give the same numbers on every run."""
    counts = tally(config, cells)
    clumping = design_effect(counts)
    posterior = pool(evidence(counts.exposures.sum(axis=3), counts.clicks.sum(axis=3), design_effect=clumping))
    view = outlook(posterior, seed=seed_of(config.experiment_id, epoch))
    weights = next_weights(view, rule=config.design.rule, floor_share=config.floor_share)
    return Look(counts, clumping, posterior, view, weights)


def conclusion(config: ExperimentConfig, found: Look, *, epoch: int) -> dict[str, Any]:
    """The look as a plain record, with 12 decimals: what the reallocation stores and acts on."""
    return {
        "experiment_id": config.experiment_id,
        "config_version": config.version,
        "epoch": epoch,
        "rule": config.design.rule,
        "variants": list(config.variants),
        "exposures": int(found.counts.exposures.sum()),
        "clicks": int(found.counts.clicks.sum()),
        "design_effect": round(found.design_effect, 12),
        "taus": list(TAUS),
        "tau_weights": rounded(found.posterior.tau_weights),
        "pooled_lifts": lifts(found.posterior.pooled_mean, found.posterior.pooled_covariance),
        "placements": {
            placement: {
                "lifts": lifts(found.posterior.mean[p], found.posterior.covariance[p]),
                "probability_best": rounded(found.outlook.best[p]),
                "expected_loss": rounded(found.outlook.expected_loss[p]),
                "next_weights": rounded(found.weights[p]),
            }
            for p, placement in enumerate(config.placements)
        },
    }


def weights_of(record: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """The next epoch's weights by placement, from a stored conclusion."""
    return {placement: tuple(entry["next_weights"]) for placement, entry in record["placements"].items()}
