"""Training the towers: sampled softmax with logQ correction, stopped where the tail of the data says so.

loss = -(s_pos - log(exp(s_pos) + sum_n exp(s_n - log(K q_n)))), s = u . e / temperature; the K negatives are shared
by the batch: drawn with q ~ popularity^0.5, so that the whole catalogue, its tail included, is pushed down.
A negative that is a target of its shopper is masked. A checkpoint is written at every check and on SIGTERM.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.arrays import Floats
from torch import Tensor
from tqdm import tqdm

from training_jobs.two_tower.checkpoints import Checkpoints
from training_jobs.two_tower.data import Batch, Catalogue, Purchases, draw_batch, learnable
from training_jobs.two_tower.model import TowerShape, TwoTower
from training_jobs.two_tower.spectral import spectral_vectors

MASKED = -1e9
Measure = Callable[[TwoTower], float]  # larger is better; on data after what is trained on


@dataclass(frozen=True, slots=True)
class TowerSettings:
    """How the towers are trained. The number of steps grows with the shoppers, within bounds."""

    shape: TowerShape = field(default_factory=TowerShape)
    epochs: float = 8.0
    fewest_steps: int = 100
    most_steps: int = 20_000
    batch_size: int = 128
    shown: int = 192
    asked: int = 24
    negatives: int = 2048
    temperature: float = 0.1
    learning_rate: float = 1e-3
    checks: int = 4  # measurements, evenly spaced
    patience: int = 2  # checks without a better one, after which training ends
    seed: int = 1

    def steps(self, shoppers: int) -> int:
        """Steps at most."""
        wanted = int(self.epochs * shoppers / self.batch_size)
        return min(max(wanted, self.fewest_steps), self.most_steps)


@dataclass(frozen=True, slots=True)
class Trained:
    """The towers at their best step, and how they got there."""

    towers: TwoTower
    best_step: int
    curve: tuple[dict[str, float], ...]  # step, loss, measure


def train_towers(
    data: Purchases,
    items: Catalogue,
    settings: TowerSettings,
    *,
    measure: Measure | None = None,
    steps: int | None = None,
    checkpoints: Checkpoints | None = None,
    label: str = "two_tower",
) -> Trained:
    """Train until `measure` stops rising, or, without one, for exactly `steps`.

    The learning rate falls to zero over the steps planned, so a refit takes the planned number and `steps` of it.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    eligible = learnable(data)
    towers = TwoTower(
        settings.shape,
        items,
        spectral_vectors(data, settings.shape.width, rng),
        data.popularity >= settings.shape.fewest_shoppers,
    )
    if not len(eligible):
        return Trained(towers, 0, ())
    run = _Run(towers, data, eligible, settings, rng, measure)
    if checkpoints is not None:
        run.resume(checkpoints)
    last = run.planned if steps is None else min(steps, run.planned)
    with tqdm(total=last, initial=run.step, desc=label, unit="step", file=sys.stderr, mininterval=2.0) as progress:
        while run.step < last and not run.is_done:
            run.advance()
            progress.update()
            if checkpoints is not None and (checkpoints.is_interrupted or run.is_at_check):
                checkpoints.save(run.state())
                checkpoints.stop_if_interrupted()
    return run.result()


class _Run:
    """One training run that can be put down and taken up."""

    def __init__(
        self,
        towers: TwoTower,
        data: Purchases,
        eligible: NDArray[np.int64],
        settings: TowerSettings,
        rng: np.random.Generator,
        measure: Measure | None,
    ) -> None:
        self.step = 0
        self.is_done = False
        self.is_at_check = False
        self.planned = settings.steps(len(eligible))
        self._towers, self._data, self._eligible, self._settings, self._rng = towers, data, eligible, settings, rng
        self._measure = measure
        self._optimizer = torch.optim.Adam(towers.parameters(), lr=settings.learning_rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, settings.learning_rate, total_steps=self.planned + 1, pct_start=0.1
        )
        share = np.sqrt(data.popularity)
        self._cumulative = np.cumsum(share / share.sum())
        self._log_q = np.log(share / share.sum() + 1e-12).astype(np.float32)
        self._every = max(self.planned // settings.checks, 1)
        self._curve: list[dict[str, float]] = []
        self._best: dict[str, Tensor] | None = None
        self._losses: list[float] = []
        if measure is not None:
            self._check()

    def advance(self) -> None:
        """One step, and a check where one is due."""
        self._towers.train()
        settings = self._settings
        batch = draw_batch(
            self._data,
            self._eligible,
            self._rng,
            size=settings.batch_size,
            shown=settings.shown,
            asked=settings.asked,
        )
        drawn = np.searchsorted(self._cumulative, self._rng.random(settings.negatives))
        negatives = np.minimum(drawn, self._data.count_items - 1)
        loss = softmax_loss(self._towers, batch, negatives, self._log_q, settings.temperature)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        self._losses.append(loss.item())
        self.step += 1
        self.is_at_check = self.step % self._every == 0
        if self.is_at_check:
            self._check()

    def _check(self) -> None:
        point = {"step": float(self.step), "loss": float(np.mean(self._losses)) if self._losses else 0.0}
        self._losses = []
        if self._measure is not None:
            point["measure"] = self._measure(self._towers)
            best = max((found["measure"] for found in self._curve), default=-np.inf)
            if point["measure"] > best:
                self._best = {name: value.clone() for name, value in self._towers.state_dict().items()}
        self._curve.append(point)
        self.is_done = self._measure is not None and self._checks_since_best() >= self._settings.patience

    def _checks_since_best(self) -> int:
        measures = [point["measure"] for point in self._curve]
        return len(measures) - 1 - int(np.argmax(measures))

    def result(self) -> Trained:
        if self._best is not None:
            self._towers.load_state_dict(self._best)
        self._towers.eval()
        measures = [point.get("measure", point["step"]) for point in self._curve]
        best_step = int(self._curve[int(np.argmax(measures))]["step"]) if self._measure is not None else self.step
        return Trained(self._towers, best_step, tuple(self._curve))

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "is_done": self.is_done,
            "towers": self._towers.state_dict(),
            "best": self._best,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "torch": torch.get_rng_state(),
            "numpy": self._rng.bit_generator.state,
            "curve": self._curve,
            "losses": self._losses,
        }

    def resume(self, checkpoints: Checkpoints) -> None:
        state = checkpoints.load()
        if state is None:
            return
        self.step, self.is_done = state["step"], state["is_done"]
        self._towers.load_state_dict(state["towers"])
        self._best, self._curve, self._losses = state["best"], state["curve"], state["losses"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["torch"])
        self._rng.bit_generator.state = state["numpy"]


def softmax_loss(
    towers: TwoTower, batch: Batch, negatives: NDArray[np.int64], log_q: Floats, temperature: float
) -> Tensor:
    """The mean loss over the targets of a batch; see the module for the formula."""
    rows = np.concatenate([batch.history.ravel(), batch.targets.ravel(), negatives])
    distinct, place = np.unique(rows, return_inverse=True)  # popular items stand in most histories
    vectors = towers.items(torch.from_numpy(distinct))
    history, targets, drawn = torch.split(
        torch.from_numpy(place), [batch.history.size, batch.targets.size, len(negatives)]
    )
    user = towers.user(  # (B, D)
        torch.from_numpy(batch.history),
        torch.from_numpy(batch.weights),
        vectors[history].view(*batch.history.shape, -1),
    )
    wanted = vectors[targets].view(*batch.targets.shape, -1)  # (B, P, D)
    positive = (wanted @ user.unsqueeze(-1)).squeeze(-1) / temperature  # (B, P)
    correction = torch.from_numpy(log_q[negatives]) + float(np.log(len(negatives)))  # (K,)
    negative = user @ vectors[drawn].T / temperature - correction  # (B, K)
    negative = negative.masked_fill(_hits(batch, negatives), MASKED)
    others = torch.logsumexp(negative, dim=1, keepdim=True)  # (B, 1)
    losses = torch.logaddexp(positive, others) - positive  # (B, P)
    weights = torch.from_numpy(batch.is_target)
    return (losses * weights).sum() / weights.sum().clamp(min=1.0)


def _hits(batch: Batch, negatives: NDArray[np.int64]) -> Tensor:
    """(B, K) which negatives are among the shopper's own targets."""
    order = np.argsort(negatives, kind="stable")
    ordered = negatives[order]
    found = np.zeros((len(batch.targets), len(negatives)), bool)
    first, last = np.searchsorted(ordered, batch.targets), np.searchsorted(ordered, batch.targets, side="right")
    present = (last > first) & (batch.is_target > 0)
    for n, p in np.argwhere(present):
        found[n, order[first[n, p] : last[n, p]]] = True
    return torch.from_numpy(found)
