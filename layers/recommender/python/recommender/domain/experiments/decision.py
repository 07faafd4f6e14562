"""When is a variant shipped: a calibrated boundary for a claim, an expected loss for an optimum.

Under `claim` a challenger is shipped where z, the posterior mean of its lift over its standard deviation, reaches
c (D / day)^1/4 (Wang and Tsiatis 1987), D the last look's day. The constant c is calibrated so that, with all variants
equal, a placement ships one in `error_share` of experiments over all of its looks together. A placement gives up for
the control when the control's expected loss is below `futility_loss`, and at the last look.
Letters: ... any leading axes, P placements, K variants (control first), C = K - 1 challengers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.arrays import Doubles
from recommender.domain.experiments.allocation import Outlook
from recommender.domain.experiments.design import Design

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
