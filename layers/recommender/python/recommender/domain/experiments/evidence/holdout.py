"""The effect of the whole experiment on the click rate, against the permanent hold-out.

Held-out visitors are held out in every placement, so placements do not repeat the comparison independently: they are
strata of one estimate, and its variance comes from the counter shards, each a group of whole shoppers. With S shards
an interval needs Student's t with S - 1 degrees of freedom instead of the normal quantile.

Decisions: docs/decisions/experiments-report.md (137).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from recommender.domain.experiments.evidence.posterior import evidence, pool
from recommender.domain.experiments.evidence.tally import StratifiedCounts, Tally, design_effect
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.models.arrays import Counts

NO_LIFT: Final = (0.0, 0.0, 0.0)  # of the control over itself
PRIOR_SD: Final = 0.5  # of the log lift: wide, so that the interval covers large lifts as often as small ones
T_QUANTILE: Final = 2.3646  # Student's t, 97.5 %, 7 degrees of freedom: 8 counter shards


def against_holdout(config: ExperimentConfig, counts: StratifiedCounts) -> dict[str, Any]:
    """Raw rates of both sides, the lift of everybody over the hold-out, and that of each variant's viewers.

    The control's own lift compares like with like: an interval far from zero there means that something else differs.
    """
    everybody = counts.against_holdout()
    clumping, least = design_effect(everybody), config.design.least_clicks
    return {
        "share": config.holdout_share,
        "held_out": rate(int(counts.held_exposures.sum()), int(counts.held_clicks.sum())),
        "others": rate(int(counts.exposures.sum()), int(counts.clicks.sum())),
        "click_design_effect": round(clumping, 6),
        "lift": _lift(everybody, clumping, least),
        "variants": [
            {"variant": variant, "lift": _lift(counts.against_holdout(k), clumping, least)}
            for k, variant in enumerate(config.variants)
        ],
    }


def rate(exposures: int, clicks: int) -> dict[str, Any]:
    """Counts with their click rate; None where nothing was shown."""
    return {"exposures": exposures, "clicks": clicks, "click_rate": round(clicks / exposures, 6) if exposures else None}


def enough(config: ExperimentConfig, clicks: Sequence[int] | Counts) -> list[bool]:
    """(K,) whether a variant and the control have the clicks below which no lift is shown."""
    least = config.design.least_clicks
    return [min(int(clicks[k]), int(clicks[0])) >= least for k in range(len(config.variants))]


def lift_json(estimate: Sequence[float] | None, *, name: str = "lift") -> dict[str, float | None]:
    """(median, low, high) as JSON; nulls for a lift that too little is known of to be shown."""
    return dict(zip((f"{name}_median", f"{name}_low", f"{name}_high"), estimate or (None, None, None), strict=True))


def _lift(compared: Tally, clumping: float, least_clicks: int) -> Mapping[str, float | None] | None:
    """The second side over the first as e^d - 1; None where a side has fewer clicks than are registered."""
    clicks = compared.clicks.sum(axis=(0, 1, 3))  # (2,)
    if clicks.min() < least_clicks:
        return None
    found = evidence(compared.exposures.sum(axis=3), compared.clicks.sum(axis=3), design_effect=clumping)
    posterior = pool(found, taus=(0.0,), pooled=((1.0, PRIOR_SD),))
    centre, variance = float(posterior.pooled_mean[0]), float(posterior.pooled_covariance[0, 0])
    half = T_QUANTILE * np.sqrt(variance)
    ends = np.expm1([centre, centre - half, centre + half])
    return lift_json([round(float(end), 6) for end in ends])
