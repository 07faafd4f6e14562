"""Forecast a draft: its traffic, given or measured from today's experiments, the days to a decision, and warnings.

A warning is no refusal: a draft may be made for a later day. What would stop it from starting is named all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from recommender.contracts.experiments import ExperimentRequest
from recommender.domain.experiments.evidence.forecast import Traffic, forecast_of
from recommender.domain.experiments.running.assignment import DEFAULT_VARIANT
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.lifecycle import is_calibrated, overlaps
from recommender.ports import ExperimentStore

MEASURED_DAYS: Final = 7
MOST_EPOCHS: Final = 400  # that are read to measure: more than a week of hourly ones
LEAST_DAYS: Final = 1 / 24  # measured over less, a day would be a guess


@dataclass(frozen=True, slots=True)
class Measured:
    """Daily exposures and clicks of each placement, hold-out included, and the days they were counted over."""

    exposures: Mapping[str, float]
    clicks: Mapping[str, float]
    days: float


def forecast_experiment(
    config: ExperimentConfig,
    requested: ExperimentRequest,
    *,
    snapshot: Snapshot | None,
    store: ExperimentStore,
    now: datetime,
) -> dict[str, Any]:
    """`forecast` (None where the traffic is unknown) and `problems`, as JSON values."""
    problems = _warnings(config, snapshot)
    measured = None
    if not requested.expected_daily_exposures or requested.expected_click_rate is None:
        measured = measure(config, snapshot=snapshot, store=store, now=now)
    exposures = requested.expected_daily_exposures or (measured.exposures if measured else {})
    rates = _rates(config, requested, measured)
    if not exposures or not rates or not any(exposures[name] * rates[name] for name in config.placements):
        problems.append(_problem("/expected_daily_exposures", requested, "unknown_traffic", UNKNOWN_TRAFFIC))
        return {"forecast": None, "problems": problems}
    clicks = {name: exposures[name] * rates[name] * (1 - config.holdout_share) for name in config.placements}
    traffic = Traffic({name: daily for name, daily in clicks.items() if daily > 0}, requested.expected_design_effect)
    forecast = forecast_of(traffic, config.design, variants=len(config.variants))
    total, share = sum(exposures[name] for name in config.placements), 1 - config.holdout_share
    if forecast["verdict"] == "too_small":
        problems.append(_problem("/expected_daily_exposures", round(total, 1), "too_small", forecast["sentence"]))
    described = {
        "source": "given" if measured is None else "measured",
        "measured_days": round(measured.days, 2) if measured else None,
        "daily_exposures": round(total, 1),
        "click_rate": round(sum(clicks.values()) / (total * share), 6),
        "design_effect": requested.expected_design_effect,
    }
    return {"forecast": {"traffic": described, **forecast}, "problems": problems}


UNKNOWN_TRAFFIC: Final = (
    "expected_daily_exposures and expected_click_rate, because nothing was counted on these placements in the last "
    f"{MEASURED_DAYS} days"
)


UNCALIBRATED: Final = (
    "a calibrated constant, which this design with this many placements and variants does not have: run "
    "`recommender experiment calibrate --file …`. Until then the experiment cannot start, and the forecast uses "
    "an estimate of the constant"
)


def measure(
    config: ExperimentConfig, *, snapshot: Snapshot | None, store: ExperimentStore, now: datetime
) -> Measured | None:
    """Measure the recent traffic of these placements, by whichever experiment ran; None where there was too little."""
    if snapshot is None:
        return None
    end = max(now, datetime.fromisoformat(snapshot.created_at))
    recent = [
        past
        for past in store.snapshots(first_epoch=max(1, snapshot.epoch - MOST_EPOCHS))
        if datetime.fromisoformat(past.created_at) >= end - timedelta(days=MEASURED_DAYS)
    ]
    if not recent:
        return None
    days = (end - datetime.fromisoformat(recent[0].created_at)).total_seconds() / 86_400
    epochs = {past.epoch for past in recent}
    ran = {other.experiment_id: other for past in recent for other in past.configs}
    exposures, clicks = dict.fromkeys(config.placements, 0.0), dict.fromkeys(config.placements, 0.0)
    for other in ran.values():
        for cell in store.counts(other):
            if cell.epoch in epochs and cell.placement in exposures:
                exposures[cell.placement] += cell.exposures
                clicks[cell.placement] += cell.clicks
    if days < LEAST_DAYS or not any(clicks.values()):
        return None
    return Measured(
        {name: count / days for name, count in exposures.items()},
        {name: count / days for name, count in clicks.items()},
        days,
    )


def _rates(config: ExperimentConfig, requested: ExperimentRequest, measured: Measured | None) -> Mapping[str, float]:
    """Click rate of each placement; that of all together where a placement showed nothing."""
    if requested.expected_click_rate is not None:
        return dict.fromkeys(config.placements, requested.expected_click_rate)
    if measured is None:
        return {}
    overall = sum(measured.clicks.values()) / sum(measured.exposures.values())
    return {
        name: measured.clicks[name] / measured.exposures[name] if measured.exposures[name] else overall
        for name in config.placements
    }


def _warnings(config: ExperimentConfig, snapshot: Snapshot | None) -> list[dict[str, str]]:
    """List the reasons that would stop the draft from starting today, or make its result misleading."""
    held: dict[str, list[str]] = {}
    for placement, other in overlaps(config, snapshot).items():
        held.setdefault(other, []).append(placement)
    found = [
        _problem(
            f"/placements/{config.placements.index(names[0])}",
            ", ".join(names),
            "overlapping_experiments",
            f"placements that no other experiment holds; {other!r} must end before this one starts",
        )
        for other, names in held.items()
    ]
    if not is_calibrated(config):
        found.append(_problem("/design/boundary", config.design.boundary, "boundary_not_calibrated", UNCALIBRATED))
    served = {name: (snapshot.defaults if snapshot else {}).get(name, DEFAULT_VARIANT) for name in config.placements}
    differing = [name for name, variant in served.items() if variant != config.control]
    if differing:
        found.append(
            _problem(
                "/variants/0",
                config.control,
                "control_is_not_the_default",
                f"{served[differing[0]]!r}, which {differing[0]!r} serves while no experiment runs, as the control; "
                "lifts will be read against another policy than today's",
            )
        )
    return found


def _problem(pointer: str, value: object, code: str, expected: str) -> dict[str, str]:
    shown = "" if isinstance(value, ExperimentRequest) else repr(value)
    return {"pointer": pointer, "code": code, "value": shown or "nothing", "expected": expected}
