"""Steer a canary: more traffic while it does no harm, none at once where it probably does.

The question is one number, the relative loss of clicks over all placements, and the data are the counters.
Given the clicks of a placement in an epoch, the canary's share of them is pi = n_1 e^d / (n_0 + n_1 e^d): the level
of the day is gone. The common log lift d has prior N(0, PRIOR_SD^2): a bundle that passed the gate is seldom far
off. A page is assigned whole, so the same shoppers fill all placements of a variant, and clicks of different
placements are no independent evidence. What they share is measured where it shows: in the spread of the sum over
placements and epochs between the counter shards, which are independent groups of shoppers.
Letters: P placements, T epochs, S counter shards; variants are (control, canary).

Decisions: docs/decisions/experiments-operation.md (147).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from recommender.domain.experiments.evidence.allocation import lifts
from recommender.domain.experiments.evidence.tally import Tally, tally
from recommender.domain.experiments.running.config import CANARY_SHARE, ExperimentConfig
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.models.arrays import Doubles

LADDER: Final = (CANARY_SHARE, 0.2, 0.5)  # shares of the traffic; one step up at a look
OFF_ABOVE: Final = 0.95  # P(loss > limit) from which the canary is taken off
RISE_BELOW: Final = 0.1  # P(loss > limit) up to which it gets more traffic
PRIOR_SD: Final = 0.3  # of the log lift: 19 bundles of 20 between -45 % and +80 %
MISSING: Final = 0.5  # of the pages that the smallest share would bring
NEWTON_STEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Loss:
    """Evidence on the canary's clicks against the control's."""

    log_lift: float  # posterior mean of d
    sd: float
    dispersion: float  # how much wider than independent clicks the shards' sums spread; >= 1
    probability: float  # P(relative loss > limit)


@dataclass(frozen=True, slots=True)
class Steering:
    """The canary's share of the next epoch's traffic, what is to be killed, and why."""

    weights: Mapping[str, tuple[float, ...]]  # the same in every placement: a page is assigned whole
    kills: tuple[str, ...]  # kill flags of the snapshot
    loss: Loss
    state: str  # "watching", "rising", "ready" to be promoted, "off"


def steer(config: ExperimentConfig, counts: Tally, *, weights: Mapping[str, Sequence[float]]) -> Steering:
    """The canary's next step from its counts and its present `weights`; one that was taken off stays off."""
    loss = clicks_lost(counts, limit=config.loss_limit)
    share = max((placement[1] for placement in weights.values()), default=CANARY_SHARE)
    if share == 0 or loss.probability > OFF_ABOVE:
        return _off(config, loss)
    state = "watching"
    if loss.probability < RISE_BELOW:
        state = "ready" if share >= LADDER[-1] else "rising"
        share = next((step for step in LADDER if step > share), share)
    return Steering(dict.fromkeys(config.placements, (1 - share, share)), (), loss, state)


def steered(
    record: Mapping[str, Any],
    config: ExperimentConfig,
    cells: Iterable[CellCount],
    *,
    weights: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """The record of a look with the canary's step in it: weights, kills, and nothing decided placement by placement."""
    counts = tally(config, cells)
    step = steer(config, counts, weights=weights)
    split = record.get("split", {})
    if split.get("suspect") or split.get("waits"):  # a day whose own split is off is enough: a bundle may have broken
        step = _with_a_suspect_split(config, step, counts, weights)
    (lift,) = lifts(np.array([step.loss.log_lift]), np.array([[step.loss.sd**2]]))
    canary = {
        "bundle_id": config.bundle_id,
        "state": step.state,
        "lift": lift,
        "dispersion": round(step.loss.dispersion, 12),
        "loss_limit": config.loss_limit,
        "probability_of_loss": round(step.loss.probability, 12),
    }
    placements = {
        placement: {**entry, "next_weights": list(step.weights[placement])}
        for placement, entry in record["placements"].items()
    }
    return {**record, "placements": placements, "kills": list(step.kills), "decided": {}, "canary": canary}


def _with_a_suspect_split(
    config: ExperimentConfig, step: Steering, counts: Tally, weights: Mapping[str, Sequence[float]]
) -> Steering:
    """No more traffic on counts that do not match the weights; off where most of the canary's pages are missing.

    A page whose making fails is answered without the canary and counted nowhere: clicks alone would not show it.
    """
    control, canary = counts.exposures.sum(axis=(0, 1, 3)).tolist()
    share = max(placement[1] for placement in weights.values())
    if step.kills or canary < MISSING * LADDER[0] * (control + canary):
        return _off(config, step.loss)
    return Steering(dict.fromkeys(config.placements, (1 - share, share)), (), step.loss, "watching")


def _off(config: ExperimentConfig, loss: Loss) -> Steering:
    kill = f"{config.experiment_id}/{config.variants[1]}"
    return Steering(dict.fromkeys(config.placements, (1.0, 0.0)), (kill,), loss, "off")


def clicks_lost(counts: Tally, *, limit: float) -> Loss:
    """The posterior of the log lift with its variance inflated by the dispersion between shards.

    P(d < log(1 - limit)) is Student's with 2 (S - 1) degrees: the dispersion is itself known from so few groups only.
    """
    n, c = counts.exposures.astype(float), counts.clicks.astype(float)  # (P, T, 2, S)
    dispersion = page_dispersion(n, c)
    lift, information = _mode(n.sum(axis=3), c.sum(axis=3), dispersion=dispersion)
    sd = information**-0.5
    distance = (lift - math.log1p(-limit)) / sd
    return Loss(lift, sd, dispersion, student_tail(distance, degrees=2 * (n.shape[3] - 1)))


def page_dispersion(n: Doubles, c: Doubles) -> float:
    """Observed over expected variance of the shards' sums over placements and epochs, the mean of both variants; >= 1.

    Given a variant's clicks c_pt, they would fall on the shards in proportion q_pts of its exposures. Of
    R_s = sum_pt (c_pts - c_pt q_pts) independent clicks have variance sum_pt c_pt q_pts (1 - q_pts); clicks that
    come in clumps, within a cell or across the placements of a page, have more. `tally.design_effect` keeps
    placements apart and sees only the first kind.
    """
    whole = n.sum(axis=3, keepdims=True)
    share = np.divide(n, whole, out=np.zeros_like(n), where=whole > 0)  # q (P, T, 2, S)
    clicks = c.sum(axis=3, keepdims=True)
    spread = ((c - clicks * share).sum(axis=(0, 1)) ** 2).sum(axis=1)  # (2,)
    expected = (clicks * share * (1 - share)).sum(axis=(0, 1, 3))  # (2,)
    ratio = np.divide(spread, expected, out=np.ones(2), where=expected > 0)
    return float(np.maximum(ratio, 1.0).mean())


def student_tail(t: float, *, degrees: int) -> float:
    """P(T > t) of Student's distribution, by Abramowitz and Stegun 26.7.8; within 0.001 from 14 degrees on."""
    z = t * (1 - 1 / (4 * degrees)) / math.sqrt(1 + t * t / (2 * degrees))
    return 0.5 * math.erfc(z / math.sqrt(2))


def _mode(n: Doubles, c: Doubles, *, dispersion: float) -> tuple[float, float]:
    """Posterior mode of the log lift from (P, T, 2) counts, and the information there, by Newton steps."""
    lift, clicks, prior = 0.0, c.sum(axis=2), PRIOR_SD**-2
    information = prior
    for _ in range(NEWTON_STEPS):
        pi = _canary_share(n, lift)
        slope = float((c[:, :, 1] - clicks * pi).sum()) / dispersion - prior * lift
        information = float((clicks * pi * (1 - pi)).sum()) / dispersion + prior
        lift += max(-1.0, min(1.0, slope / information))
    return lift, information


def _canary_share(n: Doubles, log_lift: float) -> Doubles:
    """Expected share of a stratum's clicks that are the canary's; axis 2 of `n` holds the variants."""
    odds = n[:, :, 1] * math.exp(log_lift)
    total = n[:, :, 0] + odds
    share: Doubles = np.divide(odds, total, out=np.zeros_like(odds), where=total > 0)
    return share
