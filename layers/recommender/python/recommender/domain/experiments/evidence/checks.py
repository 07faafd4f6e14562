"""Is the split what was asked for? Sample-ratio mismatch against the weights of every epoch.

A variant whose pages fail to load, or a client that drops events, loses exposures; the comparison of
click rates is then not to be trusted, however clear it looks. The chi-square describes the gap of one look; whether
the split is suspect rests on evidence that may be read at every look.
Letters: P placements, T epochs, K variants.

Is the split what was asked for, when one looks every epoch? Evidence that may be read at any time.

A chi-square that is looked at again and again finds something in the end. Here each epoch's exposures n_k are bet on:
likelihood under Dirichlet(α) mixed multinomials over that under the weights w in force, with α learnt from earlier
epochs only. The product over epochs is an e-process: while the split is right, P(it ever exceeds 1/a) <= a (Ville).
Lindon and Malek (arXiv 2011.03567) for fixed weights; here a variant k loses a share of its exposures, whatever
its weight: α_tk ∝ w_tk φ_k, φ_k = (κ w_tk + seen so far) / (κ w_tk + expected so far). Constant weights give theirs.
Letters: P placements, T epochs, K variants.

Decisions: docs/decisions/experiments-design.md (133).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from recommender.domain.experiments.evidence.tally import Tally, split_clumping
from recommender.domain.experiments.running.assignment import live_weights
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.models.arrays import Counts, Doubles

SUSPECT: Final = 1e-3  # chance of ever suspecting a split that is right
CONCENTRATION: Final = 3000.0  # κ: before data, shares are thought to be off by somewhat less than one point
_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


@dataclass(frozen=True, slots=True)
class SplitEvidence:
    """Evidence against the split after each epoch, over all placements."""

    log_evidence: Doubles  # (T,) natural logarithm of the e-process
    p_value: float  # valid at any time: one over the largest evidence so far

    @property
    def is_suspect(self) -> bool:
        """True where chance alone does not explain the split, however often one looks."""
        return self.p_value < SUSPECT


def split_evidence(exposures: Counts, expected: Doubles, *, design_effect: float) -> SplitEvidence:
    """From (P, T, K) exposures and those that the weights of each epoch expect (checks.expected_exposures).

    Repeat visits make exposures come in clumps: they are divided by the design effect, as if each clump were one. The
    placements are assigned independently; half of the bet is on all of them together, half on any one.
    """
    if not exposures.shape[1]:
        return SplitEvidence(np.zeros(0), 1.0)
    seen = np.where(expected > 0, exposures, 0) / design_effect
    log_ratio = np.cumsum(_log_ratios(seen, _shares(expected)), axis=1)  # (P, T)
    any_one = np.logaddexp.reduce(log_ratio, axis=0) - math.log(len(log_ratio))
    log_evidence = np.logaddexp(any_one, log_ratio.sum(axis=0)) - math.log(2)
    return SplitEvidence(log_evidence, min(1.0, math.exp(-max(0.0, float(log_evidence.max())))))


def _log_ratios(seen: Doubles, weights: Doubles) -> Doubles:
    """(P, T): log of Dirichlet-multinomial over multinomial for each placement and epoch of (P, T, K)."""
    totals = seen.sum(axis=2, keepdims=True)  # (P, T, 1)
    alpha = _alpha(seen, weights, totals)
    mixture = _log_gamma(alpha.sum(axis=2)) - _log_gamma((alpha + seen).sum(axis=2))
    mixture += np.where(weights > 0, _log_gamma(alpha + seen) - _log_gamma(alpha), 0.0).sum(axis=2)
    plain = (seen * np.log(np.where(weights > 0, weights, 1.0))).sum(axis=2)
    ratios: Doubles = mixture - plain
    return ratios


def _alpha(seen: Doubles, weights: Doubles, totals: Doubles) -> Doubles:
    """(P, T, K): what earlier epochs let one expect; tiny where a variant has no weight."""
    before = np.cumsum(seen, axis=1) - seen
    expected_before = np.cumsum(totals * weights, axis=1) - totals * weights
    prior = CONCENTRATION * weights
    factor = np.divide(prior + before, prior + expected_before, out=np.ones_like(seen), where=weights > 0)
    shares = _shares(weights * factor)
    strength = CONCENTRATION + np.cumsum(totals, axis=1) - totals
    return np.maximum(strength * shares, 1e-9)


def _shares(values: Doubles) -> Doubles:
    """Each value over the sum of the last axis; 0 where that is 0."""
    total = values.sum(axis=-1, keepdims=True)
    shares: Doubles = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    return shares


MOST_LEFT_OUT: Final = 0.2  # of the days: a split that is off more often is off for a reason that stays


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """Chi-square of observed exposures against those expected from the weights, summed over epochs."""

    statistic: float
    degrees: int
    p_value: float
    expected: Doubles  # (P, K)
    anytime_p_value: float = 1.0  # the one that may be looked at every epoch: split_evidence.py
    left_out: tuple[int, ...] = ()  # epochs of days whose own split was off
    share_left_out: float = 0.0  # of the days

    @property
    def is_suspect(self) -> bool:
        """True where chance alone does not explain the split of the days that are used, or too few are left to use."""
        return self.anytime_p_value < SUSPECT or self.share_left_out > MOST_LEFT_OUT


def expected_exposures(
    config: ExperimentConfig, exposures: Counts, epochs: tuple[int, ...], snapshots: Mapping[int, Snapshot]
) -> Doubles:
    """(P, T, K): each epoch's exposures of a placement, split by the weights in force in that epoch."""
    expected = np.zeros(exposures.shape)
    for p, placement in enumerate(config.placements):
        for t, epoch in enumerate(epochs):
            weights = np.asarray(_weights(config, snapshots[epoch], placement))
            expected[p, t] = exposures[p, t].sum() * weights / weights.sum()
    return expected


def split_of(config: ExperimentConfig, counts: Tally, snapshots: Mapping[int, Snapshot]) -> SplitCheck:
    """The check of an experiment's exposures; `snapshots` holds every epoch that was counted."""
    exposures = counts.exposures.sum(axis=3)  # (P, T, K)
    begins = [datetime.fromisoformat(snapshots[epoch].created_at) for epoch in counts.epochs]
    return check_days(
        exposures,
        expected_exposures(config, exposures, counts.epochs, snapshots),
        epochs=counts.epochs,
        days=[(begin - begins[0]).days for begin in begins],
        design_effect=split_clumping(config, counts),
    )


def check_days(
    exposures: Counts, expected: Doubles, *, epochs: Sequence[int], days: Sequence[int], design_effect: float
) -> SplitCheck:
    """The check of the days that are sound: a day whose own split is off is left out, and judges no other.

    `days` gives the day of each epoch. Day g is left out where its evidence exceeds (g + 1)(g + 2) / SUSPECT, so the
    chance of ever leaving out a sound day is at most SUSPECT (the sum over g of Ville's bounds). With the check of the
    days that are used, a split that is right is found fault with in at most 2 SUSPECT of the experiments.
    """
    found = np.asarray(days)
    bad: set[int] = set()
    for g, day in enumerate(dict.fromkeys(days)):
        own = found == day
        evidence = split_evidence(exposures[:, own], expected[:, own], design_effect=design_effect)
        if evidence.p_value < SUSPECT / ((g + 1) * (g + 2)):
            bad.add(day)
    sound = np.array([day not in bad for day in days], bool)
    checked = check_split(exposures[:, sound], expected[:, sound], design_effect=design_effect)
    left_out = tuple(epoch for epoch, is_sound in zip(epochs, sound, strict=True) if not is_sound)
    share = len(bad) / max(1, len(set(days)))
    return replace(checked, expected=expected.sum(axis=1), left_out=left_out, share_left_out=share)


def check_split(exposures: Counts, expected: Doubles, *, design_effect: float) -> SplitCheck:
    """Pearson's chi-square over placements and variants of (P, T, K) arrays; each epoch gives its own expectation.

    Repeat visits make exposures come in clumps, so the statistic is divided by the design effect.
    The variance of a sum over epochs is sum_t n_t w_t (1 - w_t), not that of its mean weight.
    """
    statistic, degrees = 0.0, 0
    for observed, wanted in zip(exposures.astype(float), expected, strict=True):  # (T, K) each
        total = wanted.sum(axis=1, keepdims=True)  # (T, 1)
        shares = np.divide(wanted, total, out=np.zeros_like(wanted), where=total > 0)
        covariance = np.diag((total * shares).sum(axis=0)) - (total * shares).T @ shares  # (K, K)
        gap = (observed - wanted).sum(axis=0)
        values, vectors = np.linalg.eigh(covariance)
        used = values > 1e-9 * max(1.0, float(values.max(initial=0.0)))
        statistic += float((((gap @ vectors)[used] ** 2) / values[used]).sum())
        degrees += int(used.sum())
    statistic /= design_effect
    anytime = split_evidence(exposures, expected, design_effect=design_effect).p_value
    return SplitCheck(statistic, degrees, chi_square_tail(statistic, degrees), expected.sum(axis=1), anytime)


def chi_square_tail(statistic: float, degrees: int) -> float:
    """P(chi-square with `degrees` > statistic): the regularised upper incomplete gamma function Q(k/2, x/2)."""
    if degrees == 0 or statistic <= 0:
        return 1.0
    a, x = degrees / 2, statistic / 2
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1 - front * _series(a, x) if x < a + 1 else front * _fraction(a, x)


def _series(a: float, x: float) -> float:
    """sum_n x^n / (a (a+1) … (a+n)): P(a, x) / front, for x < a + 1."""
    term = total = 1 / a
    n = 0
    while term > total * 1e-15:
        n += 1
        term *= x / (a + n)
        total += term
    return total


def _fraction(a: float, x: float) -> float:
    """Lentz's continued fraction of Q(a, x) / front, for x >= a + 1 (Numerical Recipes 6.2)."""
    b = x + 1 - a
    c, d = 1e300, 1 / b
    value = d
    for n in range(1, 1000):
        factor = -n * (n - a)
        b += 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _weights(config: ExperimentConfig, snapshot: Snapshot, placement: str) -> tuple[float, ...]:
    """The weights of an epoch in the order of the present variants; 0 for one that did not exist then."""
    then = snapshot.config(config.experiment_id)
    if then is None or placement not in then.placements:
        return (1.0, *(0.0,) * (len(config.variants) - 1))
    by_name = dict(zip(then.variants, live_weights(snapshot, then, placement), strict=True))
    return tuple(by_name.get(variant, 0.0) for variant in config.variants)
