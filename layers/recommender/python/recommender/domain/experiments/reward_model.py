"""The expected reward of an action in a context, for the estimators that need one: a ridge logistic regression.

N rows, C context columns, A actions, D = 1 + C + A. log odds = intercept + context beta + theta[action]; beta and theta
~ N(0, PRIOR_SD^2), the intercept is free. Folds hold whole units, so that no answer comes from a model that saw the
unit. How each row moves the mean answer comes from the fit itself: with G = d mean(m) / d(coefficients) and H the
Hessian, row j of the other folds contributes G' H^-1 x_j (r_j - q_j) (the infinitesimal jackknife).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.contracts.fields import problem
from recommender.domain.arrays import Doubles
from recommender.domain.experiments.off_policy import Fitted, Units

FOLDS: Final = 3
PRIOR_SD: Final = 0.5  # 95 % of the actions have odds within a factor of 2.7 of the average
MOST_STEPS: Final = 25
LARGEST_STEP: Final = 2.0  # log odds
PRECISION: Final = 1e-9

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RewardLog:
    """What a reward model learns from, and the policy whose worth it is asked for."""

    context: Doubles  # (N, C)
    actions: Codes  # (N,) of 0..A-1
    rewards: Doubles  # (N,) from 0 to 1
    policy: Doubles  # (N, A) chances of the target policy in each row's context; rows sum to 1

    def __post_init__(self) -> None:
        """Say what does not fit together."""
        if not len(self.context) == len(self.actions) == len(self.rewards) == len(self.policy):
            raise problem("/context", self.context.shape, f"{len(self.actions)} rows, as there are actions")
        if self.rewards.size and not (self.rewards.min() >= 0.0 and self.rewards.max() <= 1.0):
            raise problem("/rewards", [float(self.rewards.min()), float(self.rewards.max())], "rewards from 0 to 1")


def cross_fitted(log: RewardLog, *, rng: np.random.Generator, units: Units | None = None, folds: int = FOLDS) -> Fitted:
    """Every row answered by the model of the other folds."""
    count = len(log.actions)
    of_unit = np.arange(count) if units is None else units
    fold = rng.permutation(int(of_unit.max()) + 1)[of_unit] % folds  # (N,)
    design = _design(log)
    logged, target, influence = np.zeros(count), np.zeros(count), np.zeros(count)
    for held_out in range(folds):
        asked, known = np.flatnonzero(fold == held_out), np.flatnonzero(fold != held_out)
        if not len(asked):
            continue
        coefficients, hessian = fit(design[known], log.rewards[known], free=1)
        logged[asked] = _sigmoid(design[asked] @ coefficients)
        target[asked], gradient = _under(log, design, asked, coefficients)
        reach = design[known] @ np.linalg.solve(hessian, gradient)
        influence[known] += reach * (log.rewards[known] - _sigmoid(design[known] @ coefficients))
    return Fitted(logged, target, influence)


def fit(design: Doubles, rewards: Doubles, *, free: int) -> tuple[Doubles, Doubles]:
    """((D,) coefficients, (D, D) Hessian) by Newton's method; the first `free` columns are not shrunk."""
    width = design.shape[1]
    ridge = np.full(width, 1.0 / PRIOR_SD**2)
    ridge[:free] = 1e-6
    coefficients = np.zeros(width)
    rate = np.clip(rewards.mean() if rewards.size else 0.5, 1e-6, 1.0 - 1e-6)
    coefficients[0] = np.log(rate / (1.0 - rate))
    for _ in range(MOST_STEPS):
        expected = _sigmoid(design @ coefficients)
        hessian = (design * (expected * (1.0 - expected))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, design.T @ (rewards - expected) - ridge * coefficients)
        coefficients = coefficients + np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if np.abs(step).max() < PRECISION:
            break
    return coefficients, hessian


def _design(log: RewardLog) -> Doubles:
    """(N, D): one, context, action."""
    actions = np.zeros((len(log.actions), log.policy.shape[1]))
    actions[np.arange(len(log.actions)), log.actions] = 1.0
    return np.hstack([np.ones((len(actions), 1)), log.context, actions])


def _under(log: RewardLog, design: Doubles, asked: Codes, coefficients: Doubles) -> tuple[Doubles, Doubles]:
    """((n,) expected rewards under the policy, (D,) gradient of their sum)."""
    fixed = 1 + log.context.shape[1]
    base = design[asked, :fixed] @ coefficients[:fixed]  # (n,)
    expected = _sigmoid(base[:, None] + coefficients[None, fixed:])  # (n, A)
    slope = log.policy[asked] * expected * (1.0 - expected)
    gradient = np.concatenate([design[asked, :fixed].T @ slope.sum(axis=1), slope.sum(axis=0)])
    return (log.policy[asked] * expected).sum(axis=1), gradient


def _sigmoid(log_odds: Doubles) -> Doubles:
    found: Doubles = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -40.0, 40.0)))
    return found
