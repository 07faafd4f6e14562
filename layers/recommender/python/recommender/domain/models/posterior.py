"""The shopper's preference as a Gaussian in the item space, updated in closed form by each event.

u ~ N(m0, S0) over warm shoppers. An event on item v with weight w observes y = v.u + noise of variance s2 / w:
    precision += w v v' / s2        shift += w y v / s2        mean = precision^-1 shift
Between events both fade towards the prior, what was learnt by the factor `retention`, so that the visit's newest
wish counts most. This is Bayesian linear regression (ridge around m0) with exponential forgetting; m0 is the mean
of warm shoppers, or the user tower's vector for a known one.

Letters: D width of the item space, N events, C candidates.

Decisions: docs/decisions/serving.md (031).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.contracts.event_kinds import EVENT_KINDS
from recommender.domain.models.arrays import Doubles, Floats

RETENTION: Final = 0.9  # share of the evidence that survives until the next event


@dataclass(frozen=True, slots=True)
class PreferencePrior:
    """N(mean, basis @ diag(variances) @ basis.T) over warm shoppers; D the width of the item space."""

    mean: Floats  # (D,)
    basis: Floats  # (D, D) eigenvectors in columns
    variances: Floats  # (D,)
    noise_variance: float


@dataclass(frozen=True, slots=True)
class Strength:
    """The weight of an event as evidence, and its observation (1: wanted, negative: refused)."""

    weight: float
    observation: float


STRENGTHS: Final[Mapping[str, Strength]] = {
    name: Strength(kind.weight, kind.observation) for name, kind in EVENT_KINDS.items() if kind.weight
}


@dataclass(frozen=True)  # no slots: what is cached lives beside the fields
class Preference:
    """A Gaussian over u in information form, with the prior it fades to."""

    precision: Doubles  # (D, D) inverse covariance
    shift: Doubles  # (D,) precision @ mean
    prior_precision: Doubles  # (D, D)
    prior_shift: Doubles  # (D,)
    noise_variance: float
    evidence: float = 0.0  # sum of the surviving weights

    @property
    def mean(self) -> Doubles:
        """(D,) E[u]."""
        mean: Doubles = np.linalg.solve(self.precision, self.shift).astype(np.float64)
        return mean

    @cached_property
    def covariance(self) -> Doubles:
        """(D, D) of u."""
        covariance: Doubles = np.linalg.inv(self.precision).astype(np.float64)
        return covariance

    def around(self, mean: NDArray[np.floating]) -> Preference:
        """The preference before the first event of a shopper for whom `mean` (D,) is known."""
        shift = self.prior_precision @ np.asarray(mean, np.float64)  # (D,)
        return replace(self, shift=shift, prior_shift=shift)


def start(prior: PreferencePrior) -> Preference:
    """The preference before the first event."""
    basis = np.asarray(prior.basis, np.float64)  # (D, D)
    precision = (basis / np.asarray(prior.variances, np.float64)) @ basis.T  # (D, D)
    shift = precision @ np.asarray(prior.mean, np.float64)  # (D,)
    return Preference(precision, shift, precision, shift, float(prior.noise_variance))


def update(
    preference: Preference,
    vector: NDArray[np.floating],
    *,
    weight: float = 1.0,
    observation: float = 1.0,
    retention: float = 1.0,
) -> Preference:
    """The preference after one more event on an item `vector` (D,); what was known fades by `retention` first."""
    kept = _fade(preference, retention)
    v = np.asarray(vector, np.float64)
    scaled = weight / preference.noise_variance
    return Preference(
        kept.precision + scaled * np.outer(v, v),
        kept.shift + scaled * observation * v,
        kept.prior_precision,
        kept.prior_shift,
        kept.noise_variance,
        kept.evidence + weight,
    )


def infer(
    preference: Preference,
    vectors: NDArray[np.floating],
    *,
    weights: NDArray[np.floating],
    observations: NDArray[np.floating],
    retention: float = 1.0,
) -> Preference:
    """`update` for N events at once, oldest first: vectors (N, D), weights (N,), observations (N,)."""
    v = np.asarray(vectors, np.float64)  # (N, D)
    kept = _fade(preference, retention ** len(v))
    surviving = np.asarray(weights, np.float64) * retention ** np.arange(len(v) - 1, -1, -1)  # (N,)
    scaled = surviving / preference.noise_variance  # (N,)
    return Preference(
        kept.precision + (v * scaled[:, None]).T @ v,
        kept.shift + (scaled * observations) @ v,
        kept.prior_precision,
        kept.prior_shift,
        kept.noise_variance,
        kept.evidence + float(surviving.sum()),
    )


def score(preference: Preference, vectors: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Mean and variance of v.u for each candidate: vectors (C, D) -> (C,), (C,)."""
    v = np.asarray(vectors, np.float64)  # (C, D)
    means = v @ (preference.covariance @ preference.shift)  # (C,)
    variances = np.einsum("cd,cd->c", v @ preference.covariance, v)  # (C,)
    return means.astype(np.float32), np.maximum(variances, 0.0).astype(np.float32)


def _fade(preference: Preference, retention: float) -> Preference:
    if retention == 1.0:
        return preference
    return Preference(
        preference.prior_precision + retention * (preference.precision - preference.prior_precision),
        preference.prior_shift + retention * (preference.shift - preference.prior_shift),
        preference.prior_precision,
        preference.prior_shift,
        preference.noise_variance,
        retention * preference.evidence,
    )
