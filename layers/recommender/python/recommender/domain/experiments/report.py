"""The report of an experiment: what was counted, what it says, and in words what may be claimed from it.

Numbers only; the page that shows them draws. Lifts are relative to the control (0.1 is +10 %).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from recommender.domain.arrays import Counts, Doubles
from recommender.domain.experiments.allocation import lifts, rounded
from recommender.domain.experiments.analysis import Look, look
from recommender.domain.experiments.checks import SplitCheck, check_split, expected_exposures
from recommender.domain.experiments.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.counts import HOLDOUT, CellCount
from recommender.domain.experiments.posterior import TAUS
from recommender.domain.experiments.tally import exposure_clumping, tally
from recommender.domain.experiments.wording import Findings, may_claim, may_not_claim

SHOWN_EPOCHS: Final = 60  # newest epochs in the time series; the totals hold all


def report(
    config: ExperimentConfig, cells: Sequence[CellCount], snapshots: Sequence[Snapshot], *, now: datetime
) -> dict[str, Any]:
    """The report as JSON values. `snapshots` holds every epoch that was counted and the one in force (last)."""
    current = snapshots[-1]
    found = look(config, cells, epoch=current.epoch)
    exposures, clicks = found.counts.exposures.sum(axis=3), found.counts.clicks.sum(axis=3)  # (P, T, K)
    by_epoch = {snapshot.epoch: snapshot for snapshot in snapshots}
    expected = expected_exposures(config, exposures, found.counts.epochs, by_epoch)
    clumping = exposure_clumping(found.counts)
    split = check_split(exposures, expected, design_effect=clumping)
    findings = Findings(
        config=config,
        exposures=int(exposures.sum()),
        clicks=int(clicks.sum()),
        lifts=lifts(found.posterior.pooled_mean, found.posterior.pooled_covariance),
        days=_days(found.counts.epochs, by_epoch, now),
        probability_of_spread=1 - float(found.posterior.tau_weights[0]),
        split=split,
    )
    return {
        **_head(config, current, findings),
        "may_claim": may_claim(findings),
        "may_not_claim": may_not_claim(findings),
        "split_check": _split(split, clumping),
        "pooled": _pooled(config, found),
        "holdout": _holdout(config, cells, exposures, clicks),
        "placements": [
            {
                "placement": placement,
                "variants": _variants(config, found, p, current, exposures[p], clicks[p], split.expected[p]),
                "epochs": _series(config, placement, found.counts.epochs, exposures[p], clicks[p], by_epoch),
            }
            for p, placement in enumerate(config.placements)
        ],
        "epochs": [
            {"epoch": snapshot.epoch, "created_at": snapshot.created_at} for snapshot in snapshots[-SHOWN_EPOCHS:]
        ],
    }


def _head(config: ExperimentConfig, current: Snapshot, findings: Findings) -> dict[str, Any]:
    return {
        "experiment_id": config.experiment_id,
        "version": config.version,
        "status": config.status,
        "decision": {"status": "undecided", "rule": config.design.rule, "boundary": None},
        "started_at": config.started_at,
        "epoch": current.epoch,
        "control": config.control,
        "variants": list(config.variants),
        "floor_share": config.floor_share,
        "holdout_share": config.holdout_share,
        "killed": sorted(current.killed),
        "days": round(findings.days, 3),
        "exposures": findings.exposures,
        "clicks": findings.clicks,
    }


def _split(split: SplitCheck, clumping: float) -> dict[str, Any]:
    return {
        "statistic": round(split.statistic, 6),
        "degrees_of_freedom": split.degrees,
        "p_value": split.p_value,
        "exposure_design_effect": round(clumping, 6),
        "suspect": split.is_suspect,
    }


def _pooled(config: ExperimentConfig, found: Look) -> dict[str, Any]:
    estimates = lifts(found.posterior.pooled_mean, found.posterior.pooled_covariance)
    return {
        "click_design_effect": round(found.design_effect, 6),
        "variants": [
            {"variant": variant, **_lift(estimate)}
            for variant, estimate in zip(config.variants, [(0.0, 0.0, 0.0), *estimates], strict=True)
        ],
        "spread_between_placements": [
            {"log_lift_sd": tau, "probability": weight}
            for tau, weight in zip(TAUS, rounded(found.posterior.tau_weights), strict=True)
        ],
    }


def _holdout(config: ExperimentConfig, cells: Sequence[CellCount], exposures: Counts, clicks: Counts) -> dict[str, Any]:
    """The hold-out beside everybody else, in raw click rates."""
    held = tally(config, cells, segment=HOLDOUT)
    return {
        "share": config.holdout_share,
        "held_out": _rate(int(held.exposures.sum()), int(held.clicks.sum())),
        "others": _rate(int(exposures.sum()), int(clicks.sum())),
    }


def _variants(
    config: ExperimentConfig,
    found: Look,
    p: int,
    current: Snapshot,
    exposures: Counts,  # (T, K)
    clicks: Counts,  # (T, K)
    expected: Doubles,  # (K,)
) -> list[dict[str, Any]]:
    weights = current.weights.get(config.experiment_id, {}).get(config.placements[p], ())
    estimates = [(0.0, 0.0, 0.0), *lifts(found.posterior.mean[p], found.posterior.covariance[p])]
    return [
        {
            "variant": variant,
            **_rate(int(exposures[:, k].sum()), int(clicks[:, k].sum())),
            "expected_exposures": round(float(expected[k]), 3),
            "weight": weights[k] if k < len(weights) else 0.0,
            **_lift(estimates[k]),
            "probability_best": float(found.outlook.best[p, k]),
            "expected_loss": round(float(found.outlook.expected_loss[p, k]), 12),
        }
        for k, variant in enumerate(config.variants)
    ]


def _series(
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


def _rate(exposures: int, clicks: int) -> dict[str, Any]:
    return {"exposures": exposures, "clicks": clicks, "click_rate": round(clicks / exposures, 6) if exposures else None}


def _lift(estimate: Sequence[float]) -> dict[str, float]:
    return dict(zip(("lift_mean", "lift_low", "lift_high"), estimate, strict=True))


def _days(epochs: Sequence[int], snapshots: Mapping[int, Snapshot], now: datetime) -> float:
    """Days from the start of the first counted epoch until now."""
    if not epochs:
        return 0.0
    started = datetime.fromisoformat(snapshots[epochs[0]].created_at)
    return float(np.maximum(0.0, (now - started).total_seconds() / 86_400))
