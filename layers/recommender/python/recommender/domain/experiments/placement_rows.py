"""The report's rows of one placement: its variants as of now, and its newest epochs.

Letters: P placements, T epochs, K variants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recommender.domain.arrays import Counts, Doubles
from recommender.domain.experiments.allocation import lifts
from recommender.domain.experiments.analysis import Look
from recommender.domain.experiments.assignment import live_weights
from recommender.domain.experiments.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.holdout import NO_LIFT, enough, lift_json, rate

SHOWN_EPOCHS: Final = 60  # newest epochs in the time series; the totals hold all


def variant_rows(
    config: ExperimentConfig,
    found: Look,
    p: int,
    current: Snapshot,
    exposures: Counts,  # (T, K)
    clicks: Counts,  # (T, K)
    expected: Doubles,  # (K,)
) -> list[dict[str, Any]]:
    """Counts, estimate and traffic of each variant in placement `p`."""
    weights = current_weights(config, current, config.placements[p])
    is_shown = enough(config, clicks.sum(axis=0))
    lasting = [NO_LIFT, *lifts(found.posterior.mean[p], found.posterior.covariance[p])]
    present = [NO_LIFT, *lifts(found.present.mean[p], found.present.covariance[p])]
    return [
        {
            "variant": variant,
            **rate(int(exposures[:, k].sum()), int(clicks[:, k].sum())),
            "expected_exposures": round(float(expected[k]), 3),
            "weight": weights[k],
            **lift_json(lasting[k] if is_shown[k] else None),
            **lift_json(present[k] if is_shown[k] else None, name="present"),
            "probability_best": round(float(found.outlook.best[p, k]), 12),
            "expected_loss": round(float(found.outlook.expected_loss[p, k]), 12),
        }
        for k, variant in enumerate(config.variants)
    ]


def current_weights(config: ExperimentConfig, current: Snapshot, placement: str) -> tuple[float, ...]:
    """Shares of traffic with kill flags applied: they sum to 1, or are 0 where the experiment is not in force."""
    if placement not in current.weights.get(config.experiment_id, {}):
        return (0.0,) * len(config.variants)
    weights = live_weights(current, current.config(config.experiment_id) or config, placement)
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def epoch_rows(
    config: ExperimentConfig,
    placement: str,
    epochs: Sequence[int],
    exposures: Counts,  # (T, K)
    clicks: Counts,  # (T, K)
    snapshots: Mapping[int, Snapshot],
) -> list[dict[str, Any]]:
    """Exposures, clicks and weights of the newest epochs, parallel to the list of variants."""
    start = max(0, len(epochs) - SHOWN_EPOCHS)
    return [
        {
            "epoch": epochs[t],
            "exposures": exposures[t].tolist(),
            "clicks": clicks[t].tolist(),
            "weights": list(snapshots[epochs[t]].weights.get(config.experiment_id, {}).get(placement, ())),
        }
        for t in range(start, len(epochs))
    ]
