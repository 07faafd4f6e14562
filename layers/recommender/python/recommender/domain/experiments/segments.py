"""Does a variant do better for some visitors than for others? Segments are one more level of the same hierarchy.

A segment is what was known of the visitor when the list was served: nothing but the context (prior), the visit
(session), or a history (user). The lifts of segments are drawn together as far as the data say that they agree.
"""

from __future__ import annotations

from typing import Any

from recommender.domain.experiments.allocation import lifts, rounded
from recommender.domain.experiments.config import ExperimentConfig
from recommender.domain.experiments.counts import RANDOMISED
from recommender.domain.experiments.holdout import NO_LIFT, enough, lift_json, rate
from recommender.domain.experiments.posterior import TAUS, evidence, pool
from recommender.domain.experiments.strata import StratifiedCounts
from recommender.domain.experiments.tally import design_effect


def segment_estimates(config: ExperimentConfig, counts: StratifiedCounts) -> dict[str, Any]:
    """Lift over the control in each segment, and how far segments differ; nothing where visitors are not told apart."""
    if counts.segments in ((), (RANDOMISED,)):
        return {"spread": [], "entries": []}
    table = counts.by_segment()
    exposures, clicks = table.exposures.sum(axis=3), table.clicks.sum(axis=3)  # (G, L, K)
    posterior = pool(evidence(exposures, clicks, design_effect=design_effect(table)))
    seen, clicked = exposures.sum(axis=1), clicks.sum(axis=1)  # (G, K)
    entries = []
    for g, segment in enumerate(counts.segments):
        estimates = [NO_LIFT, *lifts(posterior.mean[g], posterior.covariance[g])]
        is_shown = enough(config, clicked[g])
        variants = [
            {
                "variant": variant,
                **rate(int(seen[g, k]), int(clicked[g, k])),
                **lift_json(estimates[k] if is_shown[k] else None),
            }
            for k, variant in enumerate(config.variants)
        ]
        entries.append({"segment": segment, **rate(int(seen[g].sum()), int(clicked[g].sum())), "variants": variants})
    spread = [
        {"log_lift_sd": tau, "probability": weight}
        for tau, weight in zip(TAUS, rounded(posterior.tau_weights), strict=True)
    ]
    return {"spread": spread, "entries": entries}
