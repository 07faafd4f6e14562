"""Days so far, and how many a decision would take at the traffic seen so far."""

from __future__ import annotations

from typing import Any, Final

from recommender.domain.experiments.analysis import Look
from recommender.domain.experiments.config import ExperimentConfig
from recommender.domain.experiments.forecast import Traffic, forecast_of

LEAST_DAYS: Final = 1.0  # less than a day says nothing about the traffic of a day
LEAST_CLICKS: Final = 100
REPLICATES: Final = 100  # the report is computed while somebody waits


def pace(config: ExperimentConfig, found: Look) -> dict[str, Any] | None:
    """The forecast from clicks per day and design effect as counted; None while there are too few, or for a canary."""
    clicks = found.counts.clicks.sum(axis=(1, 2, 3))  # (P,)
    if config.mode == "canary" or found.day < LEAST_DAYS or clicks.sum() < LEAST_CLICKS:
        return None
    daily = {name: max(float(count), 1.0) / found.day for name, count in zip(config.placements, clicks, strict=True)}
    traffic = Traffic(daily, design_effect=found.design_effect)
    expected = forecast_of(traffic, config.design, variants=len(config.variants), replicates=REPLICATES)
    return {"days_so_far": round(found.day, 3), **expected}
