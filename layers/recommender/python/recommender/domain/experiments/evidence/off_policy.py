"""Off-policy value of another policy on a log with known propensities, and the log's fitness for it.

N rows, G units (visitors; rows of one unit rise and fall together), R resamples. With rewards r, propensities b of what
was done and its chance p under the target policy, the weight is w = p / b. A reward model gives q, the expected reward
of what was done, and m, that of what the target would do.

    IPS    mean(w r)                   unbiased; swings with the largest weights
    SNIPS  sum(w r) / sum(w)           weights need not sum to N; a little bias, far less swing
    DM     mean(m)                     as good as the model, whatever the overlap
    DR     mean(m + w (r - q))         right when either the weights or the model are right

Few effective rows or one huge weight make every one of these a guess: the evaluation is then refused, with the reason,
as a value. (Dudík et al. 2011; Swaminathan & Joachims 2015; effective sample size: Kish 1965.)

The expected reward of an action in a context, for the estimators that need one: a ridge logistic regression.

N rows, C context columns, A actions, D = 1 + C + A. log odds = intercept + context beta + theta[action]; beta and theta
~ N(0, PRIOR_SD^2), the intercept is free. Folds hold whole units, so that no answer comes from a model that saw the
unit. How each row moves the mean answer comes from the fit itself: with G = d mean(m) / d(coefficients) and H the
Hessian, row j of the other folds contributes G' H^-1 x_j (r_j - q_j) (the infinitesimal jackknife).

Decisions: docs/decisions/benchmarks.md (121, 122).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.contracts.fields import problem
from recommender.domain.models.arrays import Doubles

METHODS: Final = ("ips", "snips", "dm", "dr")
LEAST_EFFECTIVE_ROWS: Final = 100.0
LARGEST_WEIGHT: Final = 1000.0
RESAMPLES: Final = 1000
TAILS: Final = (2.5, 97.5)
CHUNK: Final = 4_000_000  # drawn counts held at once

Units = NDArray[np.int64]  # (N,) labels 0..G-1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % bootstrap interval over units; not a number where nothing weighs anything."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A reward model's answers to each row, from models that never saw the row."""

    logged: Doubles  # (N,) q: expected reward of what was done
    target: Doubles  # (N,) m: expected reward of what the target would do
    influence: Doubles  # (N,) what each row moves mean(m) through the fit, times N; zero for a model given from outside


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The estimates of one target on one log, and how far to trust them."""

    estimates: Mapping[str, Estimate]  # of METHODS; dm and dr only with a reward model
    effective_sample_size: float  # (sum w)^2 / sum(w^2)
    max_weight: float
    mean_weight: float  # near 1 where the log covers what the target does
    refusal: str | None

    @property
    def refused(self) -> bool:
        """True where the log cannot carry the question; the estimates are shown, not claimed."""
        return self.refusal is not None


def weights(target: Doubles, propensities: Doubles) -> Doubles:
    """(N,) p / b, checked: chances from 0 to 1, propensities above 0."""
    if target.shape != propensities.shape or target.ndim != 1:
        raise problem("/target", target.shape, f"as many chances as propensities, {propensities.shape}")
    if not propensities.size:
        raise problem("/propensities", "no rows", "at least one logged row")
    for name, values, is_right in (
        ("/propensities", propensities, (propensities > 0.0) & (propensities <= 1.0)),
        ("/target", target, (target >= 0.0) & (target <= 1.0 + 1e-9)),
    ):
        if not is_right.all():
            expected = "chances above 0, at most 1" if name == "/propensities" else "chances from 0 to 1"
            raise problem(name, float(values[~is_right][0]), expected)
    return target / propensities


def evaluate(
    rewards: Doubles,
    weight: Doubles,
    *,
    rng: np.random.Generator,
    fitted: Fitted | None = None,
    units: Units | None = None,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Every estimator on one log; without units each row is its own."""
    sums = _unit_sums(_columns(rewards, weight, fitted), units)  # (G, 5)
    names = METHODS if fitted is not None else METHODS[:2]
    found = _ratios(sums.sum(axis=0)[None, :])[0]  # (4,)
    low, high = (
        np.nanpercentile(_resampled(sums, rng, resamples), TAILS, axis=0) if found[1] == found[1] else (found,) * 2
    )
    total, squares = float(weight.sum()), float((weight**2).sum())
    effective = total**2 / squares if squares > 0.0 else 0.0
    largest = float(weight.max())
    return Evaluation(
        {name: Estimate(*(float(part[place]) for part in (found, low, high))) for place, name in enumerate(names)},
        effective,
        largest,
        float(weight.mean()),
        refusal(effective, largest),
    )


def refusal(effective_sample_size: float, max_weight: float) -> str | None:
    """Explain why a log with such weights cannot answer; None where it can."""
    reasons = []
    if effective_sample_size < LEAST_EFFECTIVE_ROWS:
        reasons.append(
            f"the log is worth {effective_sample_size:.0f} rows of the target policy (at least "
            f"{LEAST_EFFECTIVE_ROWS:.0f} are needed)"
        )
    if max_weight > LARGEST_WEIGHT:
        reasons.append(f"one row weighs {max_weight:,.0f} rows (at most {LARGEST_WEIGHT:,.0f} are taken)")
    if not reasons:
        return None
    return f"Refused: {' and '.join(reasons)}; log more of what the target would show before asking again."


def _columns(rewards: Doubles, weight: Doubles, fitted: Fitted | None) -> Doubles:
    """(N, 5) of 1, w, w r, m (with what the row moves it) and the doubly robust row."""
    if rewards.shape != weight.shape:
        raise problem("/rewards", rewards.shape, f"one reward a weight, {weight.shape}")
    model = fitted or Fitted(*(np.zeros_like(rewards) for _ in range(3)))
    moved = model.influence - model.influence.mean() if fitted else model.influence
    robust = model.target + weight * (rewards - model.logged)
    return np.column_stack([np.ones_like(rewards), weight, weight * rewards, model.target + moved, robust])


def _unit_sums(columns: Doubles, units: Units | None) -> Doubles:
    """(G, 5): the rows of each unit together."""
    if units is None:
        return columns
    return np.column_stack([np.bincount(units, column) for column in columns.T])


def _ratios(sums: Doubles) -> Doubles:
    """(R, 4) of METHODS from (R, 5) sums; every estimator is a ratio of two sums."""
    count, weight, earned, modelled, robust = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([earned / count, earned / weight, modelled / count, robust / count], axis=1)


def _resampled(sums: Doubles, rng: np.random.Generator, resamples: int) -> Doubles:
    """(R, 4) estimates with each unit counted Poisson(1) times: the bootstrap, with a sample size that varies."""
    step = max(1, CHUNK // len(sums))
    drawn = [
        _ratios(rng.poisson(1.0, (min(step, resamples - start), len(sums))) @ sums)
        for start in range(0, resamples, step)
    ]
    return np.concatenate(drawn)


FOLDS: Final = 3
PRIOR_SD: Final = 0.5  # 95 % of the actions have odds within a factor of 2.7 of the average
MOST_STEPS: Final = 25
LARGEST_STEP: Final = 2.0  # log odds
PRECISION: Final = 1e-9

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RewardLog:
    """Training data of a reward model, and the policy to be valued."""

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
        held_out_rows, known = np.flatnonzero(fold == held_out), np.flatnonzero(fold != held_out)
        if not len(held_out_rows):
            continue
        coefficients, hessian = fit(design[known], log.rewards[known], free=1)
        logged[held_out_rows] = _sigmoid(design[held_out_rows] @ coefficients)
        target[held_out_rows], gradient = _under(log, design, held_out_rows, coefficients)
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


def _under(log: RewardLog, design: Doubles, held_out_rows: Codes, coefficients: Doubles) -> tuple[Doubles, Doubles]:
    """((n,) expected rewards under the policy, (D,) gradient of their sum)."""
    fixed = 1 + log.context.shape[1]
    base = design[held_out_rows, :fixed] @ coefficients[:fixed]  # (n,)
    expected = _sigmoid(base[:, None] + coefficients[None, fixed:])  # (n, A)
    slope = log.policy[held_out_rows] * expected * (1.0 - expected)
    gradient = np.concatenate([design[held_out_rows, :fixed].T @ slope.sum(axis=1), slope.sum(axis=0)])
    return (log.policy[held_out_rows] * expected).sum(axis=1), gradient


def _sigmoid(log_odds: Doubles) -> Doubles:
    found: Doubles = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -40.0, 40.0)))
    return found
