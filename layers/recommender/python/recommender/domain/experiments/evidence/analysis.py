"""One look at an experiment: counts to posterior, to a decision where one is due, to the weights of the next epoch.

Weights follow what is clicked now, all counts and no calendar, so that a variant that hurts loses its traffic at once.
The reported lift is the lasting one, where the design registers it. A decision rests on that lift in
matured epochs only, and falls on the days that the design registered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.experiments.evidence.allocation import (
    CONTROL,
    UNDECIDED,
    Choices,
    Outlook,
    boundary_at,
    decide,
    lifts,
    next_weights,
    outlook,
    rounded,
    seed_of,
    z_scores,
)
from recommender.domain.experiments.evidence.posterior import (
    TAUS,
    Posterior,
    evidence,
    no_calendar,
    pool,
    standard_calendar,
)
from recommender.domain.experiments.evidence.tally import Tally, design_effect, tally
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.design import constant_for
from recommender.domain.models.arrays import Doubles

DAY_SECONDS: Final = 86_400.0
ROUNDING_DAYS: Final = 1e-9
UNREACHABLE: Final = 1e6  # as z or as a loss: finite, so that it can be stored
LOSS_CERTAINTY_SD: Final = 2.326348  # P(loss above the limit) > .99
STATUS: Final = {UNDECIDED: "undecided", CONTROL: "keep_control"}  # of a choice; any other ships


@dataclass(frozen=True, slots=True)
class Look:
    """The analysis of the counts at one moment. P placements, T epochs, K variants."""

    counts: Tally
    days: Doubles  # (T,) start of each epoch, in days in force since the first
    day: float  # of this look
    design_effect: float
    posterior: Posterior  # of the lifts that are to last, from all epochs
    present: Posterior  # of the lifts as they were on average so far
    outlook: Outlook  # of `present`: it moves the traffic
    weights: Doubles  # (P, K) of the next epoch
    decision: Decision | None  # where one of the registered days has come


@dataclass(frozen=True, slots=True)
class Decision:
    """The analysis of the matured epochs on a registered day."""

    posterior: Posterior
    outlook: Outlook
    z: Doubles  # (P, C)
    pooled_z: Doubles  # (C,)
    boundary: float | None  # that z must reach; None where nothing is calibrated
    choices: Choices  # (P,) UNDECIDED, CONTROL or the variant to ship


def look(
    config: ExperimentConfig,
    cells: Iterable[CellCount],
    *,
    epoch: int,
    started: Mapping[int, datetime],
    now: datetime,
    looked_at: datetime | None = None,
    allowed: Mapping[str, Collection[str]] | None = None,
    clock: Callable[[datetime], datetime] = lambda moment: moment,
    left_out: Collection[int] = (),
    counts: Tally | None = None,
) -> Look:
    """The analysis at `now`, the end of `epoch`; the same counts and times give the same numbers on every run.

    `started` holds the start of every epoch that was counted, and of this one. A registered day since `looked_at`, the
    last look that was acted on, is due now; where nothing is known of one, since the start of this epoch. Only
    what is `allowed` (placement -> variants; None: all) is shipped, however well another one is clicked. `clock` takes
    pauses out of the days (clock.py), `left_out` are epochs whose split was off, `counts` the tally where it is known.
    """
    counts = tally(config, cells) if counts is None else counts
    origin = min((started[e] for e in counts.epochs), default=now)
    calendar_days = np.array([_days(started[e], origin) for e in counts.epochs])
    days = np.array([_days(clock(started[e]), clock(origin)) for e in counts.epochs])
    day = max(0.0, _days(clock(now), clock(origin)))
    clumping = design_effect(counts)
    every = np.array([e not in left_out for e in counts.epochs], bool)
    times = _Times(days, calendar_days)
    posterior = _posterior(config, counts, times, clumping, every)
    present = (
        _posterior(config, counts, times, clumping, every, lasting=False) if config.design.standardised else posterior
    )
    view = outlook(present, seed=seed_of(config.experiment_id, epoch))
    weights = next_weights(view, allocation=config.design.allocation, floor_share=config.floor_share)
    since = looked_at or started.get(epoch)
    before = day if since is None else _days(clock(since), clock(origin))
    due = any(before < registered <= day for registered in config.design.look_days)
    ends = np.array([_days(started.get(e + 1, now), origin) for e in counts.epochs])
    is_old = ends <= _days(now, origin) - config.design.maturation_days + ROUNDING_DAYS
    matured = is_old & (days >= config.design.drop_days) & every
    decision = _decide(config, counts, times, clumping, day, epoch, matured, allowed) if due else None
    return Look(counts, days, day, clumping, posterior, present, view, weights, decision)


@dataclass(frozen=True, slots=True)
class _Times:
    """The start of each epoch in days since the first."""

    in_force: Doubles  # (T,) without pauses: what novelty fades by
    calendar: Doubles  # (T,) what weekdays go by


def _decide(
    config: ExperimentConfig,
    counts: Tally,
    times: _Times,
    clumping: float,
    day: float,
    epoch: int,
    used: NDArray[np.bool_],
    allowed: Mapping[str, Collection[str]] | None,
) -> Decision:
    """The decision of a registered day, from the epochs that are used (T,)."""
    posterior = _posterior(config, counts, times, clumping, used)
    view = outlook(posterior, seed=seed_of(config.experiment_id, epoch))
    z = z_scores(posterior.mean, posterior.covariance)
    if allowed is not None:
        barred = [[variant not in allowed[placement] for variant in config.variants] for placement in config.placements]
        gone = np.array(barred)  # (P, K)
        z[gone[:, 1:]], view.expected_loss[gone] = -UNREACHABLE, UNREACHABLE
    constant = constant_for(config.design, placements=len(config.placements), variants=len(config.variants))
    return Decision(
        posterior,
        view,
        z,
        z_scores(posterior.pooled_mean, posterior.pooled_covariance),
        None if constant is None else boundary_at(config.design, constant, day),
        decide(config.design, z, view, constant=constant, day=day),
    )


def _posterior(
    config: ExperimentConfig,
    counts: Tally,
    times: _Times,
    clumping: float,
    used: NDArray[np.bool_],
    *,
    lasting: bool = True,
) -> Posterior:
    """The posterior of the epochs that are used (T,)."""
    exposures, clicks = counts.exposures[:, used].sum(axis=3), counts.clicks[:, used].sum(axis=3)
    chosen, dates = times.in_force[used].tolist(), times.calendar[used].tolist()
    is_standard = config.design.standardised and lasting
    calendar = standard_calendar(chosen, dates) if is_standard else no_calendar(len(chosen))
    return pool(evidence(exposures, clicks, design_effect=clumping), calendar=calendar)


def conclusion(
    config: ExperimentConfig, found: Look, *, epoch: int, decided: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The look as a plain record, with 12 decimals: what the reallocation stores and acts on.

    `decided` (placement -> variant) is what was decided before: it stays.
    """
    before = decided or {}
    entries = {
        placement: _placement(config, found, p, epoch, before.get(placement))
        for p, placement in enumerate(config.placements)
    }
    shipped = {
        placement: entry["decision"]["variant"]
        for placement, entry in entries.items()
        if entry["decision"]["status"] != "undecided"
    }
    return {
        "experiment_id": config.experiment_id,
        "config_version": config.version,
        "epoch": epoch,
        "day": round(found.day, 6),
        "rule": config.design.rule,
        "variants": list(config.variants),
        "exposures": int(found.counts.exposures.sum()),
        "clicks": int(found.counts.clicks.sum()),
        "design_effect": round(found.design_effect, 12),
        "taus": list(TAUS),
        "tau_weights": rounded(found.posterior.tau_weights),
        "novelty_probability": round(float(found.posterior.level_weights[1:].sum()), 12),
        "pooled_lifts": lifts(found.posterior.pooled_mean, found.posterior.pooled_covariance),
        "present_lifts": lifts(found.present.pooled_mean, found.present.pooled_covariance),
        "look": found.decision is not None,
        "boundary": found.decision.boundary if found.decision else None,
        "global": {"z": rounded(_pooled_z(found))},
        "decided": shipped,
        "kills": _kills(config, found.present),
        "placements": entries,
    }


def _placement(config: ExperimentConfig, found: Look, p: int, epoch: int, before: str | None) -> dict[str, Any]:
    z = found.decision.z[p] if found.decision else z_scores(found.posterior.mean[p], found.posterior.covariance[p])
    choice = int(found.decision.choices[p]) if found.decision else UNDECIDED
    if before is not None:
        choice = config.variants.index(before)
    decision: dict[str, Any] = {"status": STATUS.get(choice, "ship"), "variant": None, "day": None, "epoch": None}
    if choice != UNDECIDED:
        decision["variant"] = config.variants[choice]
        if before is None:
            decision |= {"day": round(found.day, 6), "epoch": epoch}
    weights = found.weights[p] if choice == UNDECIDED else decided_weights(config, config.variants[choice])
    return {
        "lifts": lifts(found.posterior.mean[p], found.posterior.covariance[p]),
        "probability_best": rounded(found.outlook.best[p]),
        "expected_loss": rounded(found.outlook.expected_loss[p]),
        "z": rounded(z),
        "decision": decision,
        "next_weights": rounded(np.asarray(weights)),
    }


def decided_weights(config: ExperimentConfig, variant: str) -> tuple[float, ...]:
    """The weights of a decided placement: all but the floors go to the variant, so that the others stay observed."""
    floor = config.floor_share
    rest = 1 - floor * (len(config.variants) - 1)
    return tuple(rest if name == variant else floor for name in config.variants)


def _pooled_z(found: Look) -> Doubles:
    if found.decision:
        return found.decision.pooled_z
    return z_scores(found.posterior.pooled_mean, found.posterior.pooled_covariance)


def _kills(config: ExperimentConfig, posterior: Posterior) -> list[str]:
    """Kill flags of the challengers that lose more than the limit with 99 % probability, over all placements."""
    limit = np.log1p(-config.loss_limit)
    high = posterior.pooled_mean + LOSS_CERTAINTY_SD * np.sqrt(np.diag(posterior.pooled_covariance))  # (C,)
    return [
        f"{config.experiment_id}/{variant}"
        for variant, end in zip(config.variants[1:], high, strict=True)
        if end < limit
    ]


def _days(moment: datetime, origin: datetime) -> float:
    return (moment - origin).total_seconds() / DAY_SECONDS


def weights_of(record: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """The next epoch's weights by placement, from a stored conclusion."""
    return {placement: tuple(entry["next_weights"]) for placement, entry in record["placements"].items()}
