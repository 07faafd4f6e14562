"""Trains the towers: one cycle of the learning rate, stopped by a metric on the tail of the data, with checkpoints.

A batch, its negatives and its dropout are functions of (seed, rank, step), so a run resumed from a checkpoint ends like
an uninterrupted one. A checkpoint is written whole or not at all, at every check and on SIGTERM; the signal only raises
a flag, and training saves and exits at its next step. Under torchrun each process draws its share of every batch and
the gradients are averaged (training_jobs.two_tower.processes).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from training_jobs.next_item.encoder_training import one_cycle
from training_jobs.onnx_models import require_finite
from training_jobs.two_tower.batches import Drawing, draw, negatives_for, softmax_loss
from training_jobs.two_tower.data import Catalogue, Purchases, learnable, spectral_vectors
from training_jobs.two_tower.model import TowerShape, TwoTower
from training_jobs.two_tower.processes import ALONE, Processes

TERMINATED = 128 + signal.SIGTERM  # exit code of a process that obeyed SIGTERM
Measure = Callable[[TwoTower], float]  # larger is better; on data after the training data


class Checkpoints:
    """One checkpoint file, and a flag that SIGTERM raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_interrupted = False

    def listen(self) -> None:
        """Make SIGTERM raise the flag from now on."""
        signal.signal(signal.SIGTERM, self._interrupt)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        partial = self._path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._path)

    def load(self) -> dict[str, Any] | None:
        """The checkpoint, or None where there is none."""
        if not self._path.is_file():
            return None
        state: dict[str, Any] = torch.load(self._path, weights_only=True)
        return state

    def clear(self) -> None:
        """Delete it: the run has ended."""
        self._path.unlink(missing_ok=True)

    @staticmethod
    def leave() -> None:
        """Leave with the exit code of a terminated process."""
        raise SystemExit(TERMINATED)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True


@dataclass(frozen=True, slots=True)
class TowerSettings:
    """The settings of the training. The number of steps grows with the purchases, within bounds."""

    shape: TowerShape = field(default_factory=TowerShape)
    epochs: float = 10.0
    fewest_steps: int = 100
    most_steps: int = 20_000
    drawing: Drawing = field(default_factory=Drawing)
    negatives: int = 2048
    most_from_batch: float = 0.75  # share of the negatives; fewer where a batch has fewer targets
    temperature: float = 0.07
    learning_rate: float = 4e-3
    checks: int = 4  # measurements, evenly spaced
    patience: int = 2  # checks without a better one, after which training ends
    seed: int = 1

    def steps(self, steps_an_epoch: int) -> int:
        """Steps at most."""
        return min(max(int(self.epochs * steps_an_epoch), self.fewest_steps), self.most_steps)


@dataclass(frozen=True, slots=True)
class Trained:
    """The towers at their best step, and their training curve."""

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
    processes: Processes = ALONE,
    label: str = "two_tower",
) -> Trained:
    """Train until `measure` stops rising, or, without one, for exactly `steps`.

    The learning rate falls to zero over the steps planned, so a refit takes the planned number and `steps` of it.
    """
    towers = new_towers(data, items, settings)
    if not len(learnable(data)):
        return Trained(towers, 0, ())
    run = _Run(towers, data, settings, measure, processes)
    if checkpoints is not None:
        run.resume(checkpoints)
    last = run.planned if steps is None else min(steps, run.planned)
    is_first = processes.rank == 0
    with tqdm(
        total=last, initial=run.step, desc=label, unit="step", file=sys.stderr, mininterval=2.0, disable=not is_first
    ) as progress:
        while run.step < last and not run.is_done:
            run.advance()
            progress.update()
            if checkpoints is not None:
                is_interrupted = processes.any(checkpoints.is_interrupted)
                if is_first and (is_interrupted or run.is_at_check):
                    checkpoints.save(run.state())
                if is_interrupted:
                    checkpoints.leave()
    return run.result()


def new_towers(data: Purchases, items: Catalogue, settings: TowerSettings) -> TwoTower:
    """Untrained towers, their ids started from the singular vectors; the same seed gives the same weights."""
    torch.manual_seed(settings.seed)
    start = spectral_vectors(data, settings.shape.width, np.random.default_rng(settings.seed))
    shape = settings.shape
    if items.is_uninformative:  # nothing but ids to live by
        shape = replace(shape, fewest_shoppers=1, id_dropout=0.0)
    return TwoTower(shape, items, start, data.popularity >= shape.fewest_shoppers)


class _Run:
    """One training run that can be interrupted and resumed."""

    def __init__(
        self,
        towers: TwoTower,
        data: Purchases,
        settings: TowerSettings,
        measure: Measure | None,
        processes: Processes,
    ) -> None:
        self.step = 0
        self.is_done = False
        self.is_at_check = False
        self._towers, self._settings, self._processes = towers, settings, processes
        self._measure = measure
        self._batches = draw(data, processes.share_of(settings.drawing, settings.seed))
        self.planned = settings.steps(self._batches.steps_an_epoch)
        wanted = np.bincount(data.timeline.items, minlength=data.count_items).astype(np.float64)
        from_batch = min(int(settings.most_from_batch * settings.negatives), self._batches.targets)
        self._negatives = negatives_for(wanted, count=settings.negatives, from_batch=from_batch)
        self._optimizer = torch.optim.Adam(towers.parameters(), lr=settings.learning_rate, fused=True)
        self._every = max(self.planned // settings.checks, 1)
        self._curve: list[dict[str, float]] = []
        self._best: dict[str, Tensor] | None = None
        self._losses: list[float] = []
        if measure is not None:
            self._check()

    def advance(self) -> None:
        """One step, and a check where one is due."""
        settings = self._settings
        self._towers.train()
        key = [settings.seed, self._processes.rank, self.step]
        rng = np.random.default_rng(key)
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        batch = self._batches.batch(self.step)
        drawn = self._negatives.draw(batch, rng)
        loss = softmax_loss(self._towers, batch, drawn, self._negatives.log_expected, settings.temperature)
        self._losses.append(require_finite(loss.item(), batch=batch.name))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._processes.average(self._towers.parameters(), weight=len(batch.wanted))
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * one_cycle(self.step / self.planned)
        self._optimizer.step()
        self.step += 1
        self.is_at_check = self.step % self._every == 0
        if self.is_at_check:
            self._check()

    def _check(self) -> None:
        point = {"step": float(self.step), "loss": float(np.mean(self._losses)) if self._losses else 0.0}
        self._losses = []
        if self._measure is not None:
            point["measure"] = self._processes.from_first(self._measure, self._towers)
            best = max((found["measure"] for found in self._curve), default=-np.inf)
            if point["measure"] > best:
                self._best = {name: value.clone() for name, value in self._towers.state_dict().items()}
        self._curve.append(point)
        self.is_done = self._measure is not None and self._checks_since_best() >= self._settings.patience

    def _checks_since_best(self) -> int:
        measures = [point["measure"] for point in self._curve]
        return len(measures) - 1 - int(np.argmax(measures))

    def result(self) -> Trained:
        """The towers as they were at their best check, or as they are."""
        if self._best is not None:
            self._towers.load_state_dict(self._best)
        self._towers.eval()
        measures = [point.get("measure", point["step"]) for point in self._curve]
        best_step = int(self._curve[int(np.argmax(measures))]["step"]) if self._measure is not None else self.step
        return Trained(self._towers, best_step, tuple(self._curve))

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {
            "step": self.step,
            "is_done": self.is_done,
            "towers": self._towers.state_dict(),
            "best": self._best,
            "optimizer": self._optimizer.state_dict(),
            "curve": self._curve,
            "losses": self._losses,
        }

    def resume(self, checkpoints: Checkpoints) -> None:
        """Resume the run of the checkpoint, where there is one."""
        state = checkpoints.load()
        if state is None:
            return
        self.step, self.is_done = state["step"], state["is_done"]
        self._towers.load_state_dict(state["towers"])
        self._best, self._curve, self._losses = state["best"], state["curve"], state["losses"]
        self._optimizer.load_state_dict(state["optimizer"])
