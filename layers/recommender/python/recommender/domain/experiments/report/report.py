"""The report of an experiment: its counts, their analysis, and in words the claims they support.

Numbers and sentences only; the page and the console that show them draw. Lifts are relative to the control (0.1 is
+10 %). What is estimated is as of now; what was decided is as of the look that decided it.

Decisions: docs/decisions/experiments-report.md (135).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recommender.domain.experiments.evidence.allocation import lifts, rounded
from recommender.domain.experiments.evidence.analysis import Look, look
from recommender.domain.experiments.evidence.checks import SplitCheck, split_of
from recommender.domain.experiments.evidence.forecast import pace
from recommender.domain.experiments.evidence.holdout import NO_LIFT, against_holdout, enough, lift_json
from recommender.domain.experiments.evidence.posterior import TAUS
from recommender.domain.experiments.evidence.standing import Record, decision_json, standings
from recommender.domain.experiments.evidence.tally import split_clumping, stratified, tally
from recommender.domain.experiments.report.caveats import may_not_claim
from recommender.domain.experiments.report.findings import Findings, visible_lift
from recommender.domain.experiments.report.history import (
    SHOWN_EPOCHS,
    ended_at,
    epoch_rows,
    history,
    segment_estimates,
    variant_rows,
)
from recommender.domain.experiments.report.wording import headline, may_claim, so_far
from recommender.domain.experiments.running.clock import clock_of
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.counts import CellCount


@dataclass(frozen=True, slots=True)
class Beside:
    """A report's sources beside the counters: stored looks, guardrails as JSON, origin of the data."""

    records: Sequence[Record] = ()
    guardrails: Sequence[Mapping[str, Any]] = ()
    is_simulated: bool = False


NOTHING_BESIDE = Beside()


def report(
    config: ExperimentConfig,
    cells: Sequence[CellCount],
    snapshots: Sequence[Snapshot],
    *,
    now: datetime,
    beside: Beside = NOTHING_BESIDE,
) -> dict[str, Any]:
    """The report as JSON values. `snapshots` holds every epoch that was counted and the one in force (last)."""
    current = snapshots[-1]
    last = next((snapshot for snapshot in reversed(snapshots) if snapshot.config(config.experiment_id)), current)
    now = ended_at(config, snapshots, now)
    started = {snapshot.epoch: datetime.fromisoformat(snapshot.created_at) for snapshot in snapshots}
    by_epoch = {snapshot.epoch: snapshot for snapshot in snapshots}
    counts, clock = tally(config, cells), clock_of(config, snapshots)
    split, clumping = split_of(config, counts, by_epoch), split_clumping(config, counts)
    found = look(
        config,
        cells,
        epoch=last.epoch,
        started=started,
        now=now,
        clock=clock,
        left_out=split.left_out,
        counts=counts,
    )
    epochs = found.counts.epochs
    exposures, clicks = found.counts.exposures.sum(axis=3), found.counts.clicks.sum(axis=3)  # (P, T, K)
    strata = stratified(config, cells)
    holdout = against_holdout(config, strata)
    decision = decision_json(config, standings(config, last, beside.records), beside.records)
    forecast = pace(config, found) if decision["status"] != "decided" else None
    findings = _findings(config, found, split, last, decision, holdout, forecast, beside)
    return {
        **_head(config, current, findings),
        "decision": decision,
        "canary": findings.canary,
        "headline": headline(findings),
        "may_claim": may_claim(findings),
        "so_far": so_far(findings),
        "may_not_claim": may_not_claim(findings),
        "split_check": _split(split, clumping, by_epoch),
        "pooled": _pooled(config, found, findings.shown),
        "holdout": holdout,
        "segments": segment_estimates(config, strata),
        "guardrails": list(beside.guardrails),
        "forecast": forecast,
        "placements": _placements(config, found, split, current, by_epoch),
        "epochs": [
            {"epoch": snapshot.epoch, "created_at": snapshot.created_at} for snapshot in snapshots[-SHOWN_EPOCHS:]
        ],
        "history": history(
            config, snapshots, beside.records, epochs=epochs, exposures=exposures, clicks=clicks, now=now, clock=clock
        ),
    }


def _placements(
    config: ExperimentConfig, found: Look, split: SplitCheck, current: Snapshot, by_epoch: Mapping[int, Snapshot]
) -> list[dict[str, Any]]:
    """Each placement with its variants as of now and its newest epochs."""
    exposures, clicks = found.counts.exposures.sum(axis=3), found.counts.clicks.sum(axis=3)  # (P, T, K)
    return [
        {
            "placement": placement,
            "variants": variant_rows(config, found, p, current, exposures[p], clicks[p], split.expected[p]),
            "epochs": epoch_rows(config, placement, found.counts.epochs, exposures[p], clicks[p], by_epoch),
        }
        for p, placement in enumerate(config.placements)
    ]


def _findings(
    config: ExperimentConfig,
    found: Look,
    split: SplitCheck,
    last: Snapshot,
    decision: Mapping[str, Any],
    holdout: Mapping[str, Any],
    forecast: Mapping[str, Any] | None,
    beside: Beside,
) -> Findings:
    return Findings(
        config=config,
        exposures=int(found.counts.exposures.sum()),
        clicks=int(found.counts.clicks.sum()),
        days=found.day,
        lifts=lifts(found.posterior.pooled_mean, found.posterior.pooled_covariance),
        present_lifts=lifts(found.present.pooled_mean, found.present.pooled_covariance),
        standings=standings(config, last, beside.records),
        probability_of_spread=1 - float(found.posterior.tau_weights[0]),
        split=split,
        visible_lift=_visible_lift(config, found, decision["boundary"]),
        next_look_day=decision["next_look_day"],
        holdout_lift=holdout["lift"],
        killed=_killed(config, last),
        withdrawn=last.withdrawn.get(config.experiment_id, {}),
        shown=enough(config, found.counts.clicks.sum(axis=(0, 1, 3))),
        is_too_small=bool(forecast and forecast["verdict"] == "too_small"),
        guardrails=beside.guardrails,
        is_simulated=beside.is_simulated,
        novelty_probability=_novelty(config, found),
        canary=_canary(beside.records),
        has_boundary=decision["boundary"] is not None,
    )


def _visible_lift(config: ExperimentConfig, found: Look, boundary: float | None) -> float | None:
    """Compute the smallest lift that a placement's test detects; None without a test, or with few clicks."""
    is_tested = config.mode == "test" and config.design.rule == "claim"
    is_tested = is_tested and all(enough(config, found.counts.clicks.sum(axis=(0, 1, 3))))
    return visible_lift(found.posterior, boundary) if is_tested else None


def _novelty(config: ExperimentConfig, found: Look) -> float:
    """The probability that first days differed; 0 where the design does not take novelty out."""
    return round(1 - float(found.posterior.level_weights[0]), 6) if config.design.standardised else 0.0


def _head(config: ExperimentConfig, current: Snapshot, findings: Findings) -> dict[str, Any]:
    return {
        "experiment_id": config.experiment_id,
        "version": config.version,
        "status": config.status,
        "mode": config.mode,
        "simulated": findings.is_simulated,
        "withheld": findings.is_withheld,
        "started_at": config.started_at,
        "epoch": current.epoch,
        "control": config.control,
        "variants": list(config.variants),
        "floor_share": config.floor_share,
        "holdout_share": config.holdout_share,
        "killed": list(findings.killed),
        "may_not_ship": {placement: list(gone) for placement, gone in findings.withdrawn.items()},
        "days": round(findings.days, 3),
        "exposures": findings.exposures,
        "clicks": findings.clicks,
        "visible_lift": findings.visible_lift,
    }


def _canary(records: Sequence[Record]) -> Mapping[str, Any] | None:
    """Return the newest look at a canary; None for a test."""
    newest: Mapping[str, Any] | None = records[-1].get("canary") if records else None
    return newest


def _killed(config: ExperimentConfig, current: Snapshot) -> list[str]:
    """The kill flags that concern this experiment."""
    own = config.experiment_id
    return sorted(flag for flag in current.killed if flag == own or flag.startswith(f"{own}/"))


def _split(split: SplitCheck, clumping: float, by_epoch: Mapping[int, Snapshot]) -> dict[str, Any]:
    return {
        "statistic": round(split.statistic, 6),
        "degrees_of_freedom": split.degrees,
        "p_value": split.p_value,
        "anytime_p_value": split.anytime_p_value,
        "exposure_design_effect": round(clumping, 6),
        "suspect": split.is_suspect,
        "left_out_epochs": list(split.left_out),
        "left_out_days": sorted({by_epoch[epoch].created_at[:10] for epoch in split.left_out}),
    }


def _pooled(config: ExperimentConfig, found: Look, shown: Sequence[bool]) -> dict[str, Any]:
    lasting = lifts(found.posterior.pooled_mean, found.posterior.pooled_covariance)
    present = lifts(found.present.pooled_mean, found.present.pooled_covariance)
    return {
        "click_design_effect": round(found.design_effect, 6),
        "variants": [
            {
                "variant": variant,
                **lift_json(estimate if is_shown else None),
                **lift_json(average if is_shown else None, name="present"),
            }
            for variant, estimate, average, is_shown in zip(
                config.variants, [NO_LIFT, *lasting], [NO_LIFT, *present], shown, strict=True
            )
        ],
        "novelty_probability": _novelty(config, found),
        "spread_between_placements": [
            {"log_lift_sd": tau, "probability": weight}
            for tau, weight in zip(TAUS, rounded(found.posterior.tau_weights), strict=True)
        ],
    }
