"""The shopper's preference as a Gaussian in the item space, updated in closed form by each event."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.domain.arrays import Floats


@dataclass(frozen=True, slots=True)
class PreferencePrior:
    """N(mean, basis @ diag(variances) @ basis.T) over warm shoppers; D the width of the item space."""

    mean: Floats  # (D,)
    basis: Floats  # (D, D) eigenvectors in columns
    variances: Floats  # (D,)
    noise_variance: float
