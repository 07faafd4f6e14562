"""Posterior lift of each variant: a Poisson model with the epochs' own level conditioned out, pooled over placements.

Clicks of variant k in epoch t are Poisson(n_tk lambda_t e^beta_k); given an epoch's clicks they are
multinomial with pi_tk = n_tk e^beta_k / sum_j n_tj e^beta_j, free of lambda_t: good days and moving
weights cannot favour a variant. Contrasts d_k = beta_k - beta_0 are log lifts over the control.
Letters: ... any leading axes (many experiments at once), P placements, T epochs, K variants (control first),
C = K - 1 contrasts, F calendar features, B = (1 + F) C shared effects, G parts of a mixture.

What the calendar does to a comparison: the novelty of the first days, and weekdays that favour a variant.

A variant may be clicked because it is new, or do better at weekends. A lift that is to last is neither: it is the
average over a week, after the novelty has worn off. So the log lift of epoch t is d + x_t . theta with a fading
first-days effect and one effect a weekday, shared by all placements; theta has a prior centred at nothing, as wide as
the data ask for (a mixture over levels), and what is reported is d plus the average over the seven weekdays. Before a
weekday was seen its effect is unknown and widens the interval; so a test may stop within a week and claim less, but
nothing that a weekend refutes. Letters: T epochs, F features, G levels.

Decisions: docs/decisions/experiments-design.md (060, 113, 114, 115).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from recommender.domain.experiments.running.design import WEEK_DAYS
from recommender.domain.models.arrays import Counts, Doubles

NOVELTY_DAYS: Final = 3.0  # the novelty of a variant fades as e^(-day / 3)
WEEKDAY_SD: Final = 0.05  # of a weekday's log lift around the week's
NOVELTY: Final = ((0.5, 5e-4), (0.5, 0.2))  # (prior probability, sd of the log lift on day 0)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Time features of each epoch and how large their effects may be."""

    features: Doubles  # (T, F)
    target: Doubles  # (F,) weight of each effect in the lift that is asked for
    levels: tuple[tuple[float, Doubles], ...]  # G x (prior probability, sds (F,))


def no_calendar(count_epochs: int) -> Calendar:
    """Lifts that are the same at all times."""
    return Calendar(np.zeros((count_epochs, 0)), np.zeros(0), ((1.0, np.zeros(0)),))


def standard_calendar(days: Sequence[float], dates: Sequence[float] | None = None) -> Calendar:
    """The calendar of epochs that began so many days after the start: novelty, then one feature a weekday.

    `days` are days in force, `dates` days of the calendar; the same where the experiment was never off.
    """
    since = np.asarray(days, dtype=float)  # (T,)
    weekday = np.floor(since if dates is None else np.asarray(dates, dtype=float)).astype(int) % WEEK_DAYS
    features = np.concatenate([np.exp(-since / NOVELTY_DAYS)[:, None], np.eye(WEEK_DAYS)[weekday]], axis=1)
    target = np.r_[0.0, np.full(WEEK_DAYS, 1 / WEEK_DAYS)]
    levels = tuple((share, np.r_[sd, np.full(WEEK_DAYS, WEEKDAY_SD)]) for share, sd in NOVELTY)
    return Calendar(features, target, levels)


RIDGE_SD: Final = 0.15  # of beta, only where the likelihood is expanded
POOLED: Final = ((0.5, 0.05), (0.5, 0.5))  # (prior probability, sd of the mean log lift m): most changes change little
TAUS: Final = (0.0, 0.02, 0.04, 0.08, 0.15)  # spread of a placement's log lift around the mean
NEWTON_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """The log-likelihood of each placement's contrasts in each epoch as h.d - d.H.d / 2 (no prior in it)."""

    information: Doubles  # H (..., P, T, C, C)
    score: Doubles  # h = H d_hat (..., P, T, C); finite also where H is singular and d_hat is not


@dataclass(frozen=True, slots=True)
class Posterior:
    """Log lifts over the control: normal for each placement, and for the mean over placements."""

    mean: Doubles  # (..., P, C)
    covariance: Doubles  # (..., P, C, C)
    pooled_mean: Doubles  # (..., C)
    pooled_covariance: Doubles  # (..., C, C)
    tau_weights: Doubles  # (..., number of taus) posterior probability of each tau
    level_weights: Doubles  # (..., number of levels) posterior probability of each level of the calendar


def evidence(exposures: Counts, clicks: Counts, *, design_effect: float = 1.0) -> Evidence:
    """Expand the multinomial log-likelihood of (..., P, T, K) counts around its ridge mode by Newton steps.

    `design_effect` divides the information: that many exposures are worth one of a shopper of their own.
    """
    n, c = exposures.astype(float), clicks.astype(float)
    count_variants = n.shape[-1]
    ridge = np.eye(count_variants) / RIDGE_SD**2
    beta = np.zeros((*n.shape[:-2], count_variants))  # (..., P, K)
    for _ in range(NEWTON_STEPS):
        gradient, expected, pi = _derivatives(n, c, beta)
        among = _diagonal(expected.sum(axis=-2)) - np.swapaxes(expected, -1, -2) @ pi  # (..., P, K, K)
        slope = gradient.sum(axis=-2) - beta / RIDGE_SD**2
        beta += np.clip(np.linalg.solve(among + ridge, slope[..., None])[..., 0], -1, 1)
    gradient, expected, pi = _derivatives(n, c, beta)
    expected, pi = expected[..., 1:], pi[..., 1:]  # the control's row and column carry nothing new
    information = _diagonal(expected) - expected[..., :, None] * pi[..., None, :]  # (..., P, T, C, C)
    contrasts = (beta[..., 1:] - beta[..., :1])[..., None, :, None]  # (..., P, 1, C, 1)
    score = gradient[..., 1:] + (information @ contrasts)[..., 0]
    return Evidence(information / design_effect, score / design_effect)


def _derivatives(n: Doubles, c: Doubles, beta: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """By epoch (..., P, T, K): gradient of the multinomial log-likelihood at beta, expected clicks, pi."""
    odds = n * np.exp(beta)[..., None, :]
    total = odds.sum(axis=-1, keepdims=True)
    pi = np.divide(odds, total, out=np.zeros_like(odds), where=total > 0)
    expected = np.where(total > 0, c.sum(axis=-1, keepdims=True), 0.0) * pi
    return np.where(total > 0, c, 0.0) - expected, expected, pi


def _diagonal(values: Doubles) -> Doubles:
    """Matrices (..., K, K) with these values (..., K) on the diagonal."""
    matrix: Doubles = values[..., None] * np.eye(values.shape[-1])
    return matrix


def pool(
    found: Evidence,
    *,
    calendar: Calendar | None = None,
    taus: tuple[float, ...] = TAUS,
    pooled: tuple[tuple[float, float], ...] = POOLED,
) -> Posterior:
    """Hierarchy d_p ~ N(m, tau^2 J), m ~ N(0, s^2 J), J = I + 11', and the calendar's effects beside m.

    Mixed over tau, s and the calendar's levels by their likelihood. A mixture over s shrinks small lifts and spares
    large ones: an estimate at the moment it wins is otherwise too high.
    """
    calendar = calendar or no_calendar(found.score.shape[-2])
    sums = _sums(found, calendar)
    parts = [part for tau in taus for part in _given_tau(sums, calendar, tau, pooled)]
    log_likelihood = np.array([part.log_likelihood for part in parts])  # (G, ...)
    weights = np.exp(log_likelihood - log_likelihood.max(axis=0))
    weights /= weights.sum(axis=0)
    mean, covariance = _mixed(weights, [part.mean for part in parts], [part.covariance for part in parts])
    pooled_mean, pooled_covariance = _mixed(
        weights, [part.pooled_mean for part in parts], [part.pooled_covariance for part in parts]
    )
    by_part = np.moveaxis(weights, 0, -1).reshape(*weights.shape[1:], len(taus), len(calendar.levels), len(pooled))
    tau_weights, level_weights = by_part.sum(axis=(-1, -2)), by_part.sum(axis=(-1, -3))
    return Posterior(mean, covariance, pooled_mean, pooled_covariance, tau_weights, level_weights)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Likelihood of a placement's own deviation u_p and of the shared effects phi = (m, theta)."""

    own: Doubles  # (..., P, C, C)
    own_score: Doubles  # (..., P, C)
    cross: Doubles  # (..., P, C, B)
    shared: Doubles  # (..., B, B)
    shared_score: Doubles  # (..., B)


def _sums(found: Evidence, calendar: Calendar) -> _Sums:
    """Sums over epochs; d_pt = u_p + (1, x_t) . phi, phi in blocks of C."""
    count_contrasts, count_epochs = found.score.shape[-1], found.score.shape[-2]
    design = np.concatenate([np.ones((count_epochs, 1)), calendar.features], axis=1)  # (T, 1 + F)
    width = design.shape[1]
    leading = found.score.shape[:-2]
    flat = found.information.reshape(*leading, count_epochs, count_contrasts**2)  # (..., P, T, CC)
    cross = (design.T @ flat).reshape(*leading, width, count_contrasts, count_contrasts)
    squares = (design[:, :, None] * design[:, None, :]).reshape(count_epochs, width**2)  # (T, (1+F)^2)
    shared = (squares.T @ flat.sum(axis=-3)).reshape(*leading[:-1], width, width, count_contrasts, count_contrasts)
    wide = width * count_contrasts
    return _Sums(
        found.information.sum(axis=-3),
        found.score.sum(axis=-2),
        np.swapaxes(cross, -3, -2).reshape(*leading, count_contrasts, wide),
        np.swapaxes(shared, -3, -2).reshape(*leading[:-1], wide, wide),
        (design.T @ found.score.sum(axis=-3)).reshape(*leading[:-1], wide),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    log_likelihood: Doubles  # (...), up to a constant that is the same for every part
    mean: Doubles  # (..., P, C)
    covariance: Doubles  # (..., P, C, C)
    pooled_mean: Doubles  # (..., C)
    pooled_covariance: Doubles  # (..., C, C)


def _given_tau(sums: _Sums, calendar: Calendar, tau: float, pooled: tuple[tuple[float, float], ...]) -> Iterator[_Part]:
    """The conjugate update for one tau and each level, in information form: no placement needs an estimate of its own.

    With S = tau^2 J and A the own information: (A + S^-1)^-1 = S (I + A S)^-1 =: M, also where S = 0.
    """
    count_contrasts = sums.own_score.shape[-1]
    shape = np.eye(count_contrasts) + 1.0  # J: contrasts of independent effects with a common control
    spread = tau**2 * shape
    growth = np.eye(count_contrasts) + sums.own @ spread  # (..., P, C, C)
    own_covariance = spread @ np.linalg.inv(growth)  # M
    own_mean = (own_covariance @ sums.own_score[..., None])[..., 0]  # M h (..., P, C)
    carried = own_covariance @ sums.cross  # (..., P, C, B): u_p given phi is M h - carried phi
    transposed = np.swapaxes(sums.cross, -1, -2)
    precision = sums.shared - (transposed @ carried).sum(axis=-3)  # (..., B, B), without the prior
    score = sums.shared_score - (transposed @ own_mean[..., None])[..., 0].sum(axis=-2)
    own_fit = (sums.own_score * own_mean).sum(axis=(-1, -2)) - np.linalg.slogdet(growth)[1].sum(axis=-1)
    weights = np.r_[1.0, calendar.target]
    contrasts = np.kron(weights, np.eye(count_contrasts))  # (C, B): the lifts, of the shared effects
    for (probability, sds), (common, pooled_sd) in product(calendar.levels, pooled):
        prior = np.kron(np.diag(np.r_[pooled_sd, sds] ** -2.0), np.linalg.inv(shape))  # (B, B)
        total = precision + prior
        covariance = np.linalg.inv(total)
        mean = (covariance @ score[..., None])[..., 0]  # (..., B)
        scale = np.linalg.slogdet(prior)[1] - np.linalg.slogdet(total)[1]
        fit = 0.5 * ((score * mean).sum(axis=-1) + own_fit + scale) + np.log(probability * common)
        in_placement = contrasts - carried  # (..., P, C, B)
        yield _Part(
            fit,
            own_mean + (in_placement @ mean[..., None, :, None])[..., 0],
            own_covariance + in_placement @ covariance[..., None, :, :] @ np.swapaxes(in_placement, -1, -2),
            mean @ contrasts.T,
            contrasts @ covariance @ contrasts.T,
        )


def _mixed(weights: Doubles, means: list[Doubles], covariances: list[Doubles]) -> tuple[Doubles, Doubles]:
    """Mean and covariance of a mixture with weights (G, ...): the law of total variance."""
    centres = np.array(means)  # (G, ..., [P,] C)
    share = weights.reshape(weights.shape + (1,) * (centres.ndim - weights.ndim))
    mean = (share * centres).sum(axis=0)
    apart = centres - mean
    covariance = sum(
        part[..., None, None] * (inner + gap[..., :, None] * gap[..., None, :])
        for part, inner, gap in zip(share[..., 0], covariances, apart, strict=True)
    )
    return mean, np.asarray(covariance)
