"""How much better each variant is: a Poisson model with the epochs' own level conditioned out, pooled over placements.

Clicks of variant k in epoch t are Poisson(n_tk lambda_t e^beta_k); given an epoch's clicks they are
multinomial with pi_tk = n_tk e^beta_k / sum_j n_tj e^beta_j, free of lambda_t: good days and moving
weights cannot favour a variant. Contrasts d_k = beta_k - beta_0 are log lifts over the control.
Letters: P placements, T epochs, K variants (control first), C = K - 1 contrasts, G values of tau.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.domain.arrays import Counts, Doubles

RIDGE_SD: Final = 0.15  # of beta, only where the likelihood is expanded
POOLED_SD: Final = 0.5  # of the mean log lift m
TAUS: Final = (0.0, 0.02, 0.04, 0.08, 0.15)  # spread of a placement's log lift around the mean
NEWTON_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """The log-likelihood of each placement's contrasts as h.d - d.H.d / 2 (no prior in it)."""

    information: Doubles  # H (P, C, C)
    score: Doubles  # h = H d_hat (P, C); finite also where H is singular and d_hat is not


@dataclass(frozen=True, slots=True)
class Posterior:
    """Log lifts over the control: normal for each placement, and for the mean over placements."""

    mean: Doubles  # (P, C)
    covariance: Doubles  # (P, C, C)
    pooled_mean: Doubles  # (C,)
    pooled_covariance: Doubles  # (C, C)
    tau_weights: Doubles  # (G,) posterior probability of each tau


def evidence(exposures: Counts, clicks: Counts, *, design_effect: float = 1.0) -> Evidence:
    """Expand the multinomial log-likelihood of (P, T, K) counts around its ridge mode by Newton steps.

    `design_effect` divides the information: that many exposures are worth one of a shopper of their own.
    """
    n, c = exposures.astype(float), clicks.astype(float)
    count_variants = n.shape[2]
    beta = np.zeros((n.shape[0], count_variants))  # (P, K)
    for _ in range(NEWTON_STEPS):
        gradient, information = _derivatives(n, c, beta)
        ridged = information + np.eye(count_variants) / RIDGE_SD**2
        step = np.linalg.solve(ridged, (gradient - beta / RIDGE_SD**2)[..., None])[..., 0]
        beta += np.clip(step, -1, 1)
    gradient, information = _derivatives(n, c, beta)
    contrasts = beta[:, 1:] - beta[:, :1]  # (P, C)
    among = information[:, 1:, 1:]  # (P, C, C): the control's row and column carry nothing new
    score = gradient[:, 1:] + np.einsum("pij,pj->pi", among, contrasts)
    return Evidence(among / design_effect, score / design_effect)


def _derivatives(n: Doubles, c: Doubles, beta: Doubles) -> tuple[Doubles, Doubles]:
    """Gradient (P, K) and information (P, K, K) of the multinomial log-likelihood at beta."""
    odds = n * np.exp(beta)[:, None, :]  # (P, T, K)
    total = odds.sum(axis=2, keepdims=True)
    pi = np.divide(odds, total, out=np.zeros_like(odds), where=total > 0)
    in_epoch = np.where(total > 0, c.sum(axis=2, keepdims=True), 0.0)  # (P, T, 1)
    gradient = (np.where(total > 0, c, 0.0) - in_epoch * pi).sum(axis=1)
    weighted = in_epoch * pi
    outer = np.einsum("pti,ptj->pij", weighted, pi)
    diagonal = weighted.sum(axis=1)[..., None] * np.eye(n.shape[2])
    return gradient, diagonal - outer


def pool(found: Evidence, *, taus: tuple[float, ...] = TAUS) -> Posterior:
    """Hierarchy d_p ~ N(m, tau^2 J), m ~ N(0, POOLED_SD^2 J), J = I + 11', mixed over tau by its likelihood."""
    count_contrasts = found.score.shape[1]
    shape = np.eye(count_contrasts) + 1.0  # J: contrasts of independent effects with a common control
    parts = [_given_tau(found, shape, tau) for tau in taus]
    log_likelihood = np.array([part.log_likelihood for part in parts])
    weights = np.exp(log_likelihood - log_likelihood.max())
    weights /= weights.sum()  # (G,)
    mean, covariance = _mixed(weights, [part.mean for part in parts], [part.covariance for part in parts])
    pooled_mean, pooled_covariance = _mixed(
        weights, [part.pooled_mean for part in parts], [part.pooled_covariance for part in parts]
    )
    return Posterior(mean, covariance, pooled_mean, pooled_covariance, weights)


@dataclass(frozen=True, slots=True)
class _GivenTau:
    log_likelihood: float  # up to a constant that is the same for every tau
    mean: Doubles  # (P, C)
    covariance: Doubles  # (P, C, C)
    pooled_mean: Doubles  # (C,)
    pooled_covariance: Doubles  # (C, C)


def _given_tau(found: Evidence, shape: Doubles, tau: float) -> _GivenTau:
    """The conjugate update for one tau, in information form: no placement needs an estimate of its own.

    V = (H^-1 + tau^2 J)^-1 = (I + tau^2 H J)^-1 H and V d_hat = (I + tau^2 H J)^-1 h.
    """
    identity = np.eye(len(shape))
    spread = tau**2 * shape  # tau^2 J
    growth = identity + found.information @ spread  # (P, C, C)
    precision = np.linalg.solve(growth, found.information)  # V (P, C, C)
    weighted = np.linalg.solve(growth, found.score[..., None])[..., 0]  # V d_hat (P, C)
    prior = np.linalg.inv(POOLED_SD**2 * shape)
    total = precision.sum(axis=0) + prior  # A
    pooled_covariance = np.linalg.inv(total)
    pooled_mean = pooled_covariance @ weighted.sum(axis=0)  # (C,)
    residual = weighted - precision @ pooled_mean  # V (d_hat - m) (P, C)
    # sum_p log N(d_hat_p; m, V_p^-1) with m integrated out, less sum_p log N(d_hat_p; 0, H_p^-1)
    fit = np.einsum("pi,ij,pj->", found.score, spread, weighted) + pooled_mean @ weighted.sum(axis=0)
    log_likelihood = 0.5 * (fit - np.linalg.slogdet(growth)[1].sum() - np.linalg.slogdet(total)[1])
    mixed = identity - spread @ precision  # I - B, B = tau^2 J V
    return _GivenTau(
        float(log_likelihood),
        pooled_mean + residual @ spread,
        mixed @ spread + mixed @ pooled_covariance @ mixed.transpose(0, 2, 1),
        pooled_mean,
        pooled_covariance,
    )


def _mixed(weights: Doubles, means: list[Doubles], covariances: list[Doubles]) -> tuple[Doubles, Doubles]:
    """Mean and covariance of a mixture: the law of total variance."""
    centres, inner = np.array(means), np.array(covariances)  # (G, ..., C), (G, ..., C, C)
    mean = np.tensordot(weights, centres, axes=1)
    apart = centres - mean
    between = apart[..., :, None] * apart[..., None, :]
    return mean, np.tensordot(weights, inner + between, axes=1)
