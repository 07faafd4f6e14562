"""From posterior to traffic: the chance of being best, what a wrong choice costs, and the next weights.

Top-two Thompson Sampling splits traffic between the best and the second best of each draw, so that the
test still learns when one variant leads; the control keeps as much traffic as the best challenger, because
every comparison is with it. Plain Thompson Sampling loses the fewest clicks and decides later.
Letters: ... any leading axes (many experiments at once), P placements, K variants (control first),
C = K - 1 contrasts, N draws.

When is a variant shipped: a calibrated boundary for a claim, an expected loss for an optimum.

Under `claim` a challenger is shipped where z, the posterior mean of its lift over its standard deviation, reaches
c (D / day)^1/4 (Wang and Tsiatis 1987), D the last look's day. The constant c is calibrated so that, with all variants
equal, a placement ships one in `error_share` of experiments over all of its looks together. A placement gives up for
the control when the control's expected loss is below `futility_loss`, and at the last look.
Letters: ... any leading axes, P placements, K variants (control first), C = K - 1 challengers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.experiments.evidence.posterior import Posterior
from recommender.domain.experiments.running.design import Design
from recommender.domain.models.arrays import Doubles

DRAWS: Final = 4096

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outlook:
    """Posterior quantities of choosing each variant in each placement."""

    best: Doubles  # (..., P, K) P(variant is the best)
    second: Doubles  # (..., P, K) P(variant is the second best)
    expected_loss: Doubles  # (..., P, K) E[best rate - rate], as a share of the control's rate


def outlook(posterior: Posterior, *, seed: int, draws: int = DRAWS) -> Outlook:
    """Summaries over antithetic normal draws, the same for every placement; the same seed gives the same numbers."""
    count_contrasts = posterior.mean.shape[-1]
    half = np.random.default_rng(seed).standard_normal((draws // 2, count_contrasts))
    normal = np.concatenate([half, -half])  # (N, C)
    root = _square_root(posterior.covariance)  # (..., P, C, C)
    effects = np.zeros((*posterior.mean.shape[:-1], len(normal), count_contrasts + 1))  # (..., P, N, K), control at 0
    effects[..., 1:] = posterior.mean[..., None, :] + normal @ np.swapaxes(root, -1, -2)
    rates = np.exp(effects)
    first = effects.argmax(axis=-1)
    top = np.take_along_axis(rates, first[..., None], axis=-1)  # (..., P, N, 1)
    np.put_along_axis(effects, first[..., None], -np.inf, axis=-1)
    return Outlook(
        best=_shares(first, count_contrasts + 1),
        second=_shares(effects.argmax(axis=-1), count_contrasts + 1),
        expected_loss=(top - rates).mean(axis=-2),
    )


def _shares(winners: Integers, count_variants: int) -> Doubles:
    """Share of each variant among the draws (..., N): (..., K)."""
    return np.stack([(winners == k).mean(axis=-1) for k in range(count_variants)], axis=-1)


def next_weights(view: Outlook, *, allocation: str, floor_share: float) -> Doubles:
    """Traffic for the next epoch (..., P, K): rows sum to 1, no variant below the floor."""
    if allocation == "thompson":
        return with_floor(view.best, floor_share)
    wanted: Doubles = (view.best + view.second) / 2
    wanted[..., 0] = np.maximum(wanted[..., 0], wanted[..., 1:].max(axis=-1))
    return with_floor(wanted / wanted.sum(axis=-1, keepdims=True), floor_share)


def with_floor(weights: Doubles, floor_share: float) -> Doubles:
    """Weights (..., K) lifted to the floor; what lies above it shrinks in proportion, so that rows sum to 1."""
    above = np.maximum(weights - floor_share, 0.0)
    lifted: Doubles = floor_share + (1 - floor_share * weights.shape[-1]) * above / above.sum(axis=-1, keepdims=True)
    return lifted


def seed_of(experiment_id: str, epoch: int) -> int:
    """The seed of an epoch's draws: a rerun computes the same bytes."""
    return int.from_bytes(hashlib.blake2b(f"{experiment_id}|{epoch}".encode(), digest_size=8).digest())


def rounded(values: Doubles) -> list[float]:
    """Plain numbers with 12 decimals: independent of the last bits of a linear algebra library."""
    return [round(float(value), 12) for value in values]


def lifts(mean: Doubles, covariance: Doubles) -> Sequence[tuple[float, float, float]]:
    """(median, low, high) of the lift e^d - 1 over the control for each contrast: log-normal, 95 % interval.

    The mean of a log-normal grows with what is not known: without any data it would read as a gain.
    """
    spread = 1.959964 * np.sqrt(np.diagonal(covariance))
    centre, low, high = np.expm1(mean), np.expm1(mean - spread), np.expm1(mean + spread)
    return list(zip(rounded(centre), rounded(low), rounded(high), strict=True))


def _square_root(covariance: Doubles) -> Doubles:
    """R with R R' = covariance (..., C, C), also where an eigenvalue is zero or a hair below."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])


UNDECIDED: Final = -1
CONTROL: Final = 0
SHAPE: Final = 0.25  # how fast the boundary falls with time

Choices = NDArray[np.int64]


def z_scores(mean: Doubles, covariance: Doubles) -> Doubles:
    """Posterior mean over standard deviation of contrasts (..., C) with covariance (..., C, C)."""
    scores: Doubles = mean / np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    return scores


def boundary_at(design: Design, constant: float, day: float) -> float:
    """The z that a challenger must reach at a look on this day."""
    return float(constant * (design.last_day / min(day, design.last_day)) ** SHAPE)


def decide(design: Design, z: Doubles, view: Outlook, *, constant: float | None, day: float) -> Choices:
    """(..., P) for each placement UNDECIDED, CONTROL, or the number of the variant to ship, at a look on `day`.

    `constant` None: nothing was calibrated, so under `claim` no challenger is ever shipped.
    """
    is_last = day >= design.last_day
    loss = view.expected_loss  # (..., P, K)
    if design.rule == "optimise":
        best = loss.argmin(axis=-1)
        small = np.take_along_axis(loss, best[..., None], axis=-1)[..., 0] < design.expected_loss
        return np.where(small, best, CONTROL if is_last else UNDECIDED)
    limit = np.inf if constant is None else boundary_at(design, constant, day)
    over = z >= limit  # (..., P, C)
    shipped = np.where(over, loss[..., 1:], np.inf).argmin(axis=-1) + 1
    futile = loss[..., CONTROL] < design.futility_loss
    return np.where(over.any(axis=-1), shipped, np.where(futile | is_last, CONTROL, UNDECIDED))
