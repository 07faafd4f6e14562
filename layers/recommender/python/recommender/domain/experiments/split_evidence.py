"""Is the split what was asked for, when one looks every epoch? Evidence that may be read at any time.

A chi-square that is looked at again and again finds something in the end. Here each epoch's exposures n_k are bet on:
likelihood under Dirichlet(α) mixed multinomials over that under the weights w in force, with α learnt from earlier
epochs only. The product over epochs is an e-process: while the split is right, P(it ever exceeds 1/a) <= a (Ville).
Lindon and Malek (arXiv 2011.03567) for fixed weights; here a variant k loses a share of its exposures, whatever
its weight: α_tk ∝ w_tk φ_k, φ_k = (κ w_tk + seen so far) / (κ w_tk + expected so far). Constant weights give theirs.
Letters: P placements, T epochs, K variants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.domain.arrays import Counts, Doubles

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
