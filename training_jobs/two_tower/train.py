"""The two-tower job: early towers for the ranker's labels, then towers on everything before the holdout.

The early towers stop at the ranker's first label cut; the weeks after it choose the number of steps. The same number
of steps then trains the towers that are published. Writes user_tower.onnx, item_vectors.npy, retrieval.onnx,
preference.npz, the same (without retrieval) below early/, and curves.json. Resumes after SIGTERM. Several processes
(`torchrun --nproc-per-node=2 -m training_jobs.two_tower.train`) share every batch.

Decisions: docs/decisions/shopper-model.md (021).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recommender.contracts.artifacts import (
    CONTENT_VECTORS,
    ITEM_IDS,
    ITEM_VECTORS,
    PREFERENCE,
    RETRIEVAL,
    USER_TOWER,
)
from recommender.domain.models.arrays import to_npz

from training_jobs.counting.lines import label_cuts
from training_jobs.environment import CONTENT_ROWS, JobEnvironment
from training_jobs.exports import Exports, exports_of
from training_jobs.onnx_models import assert_parity, onnx_function
from training_jobs.two_tower.data import Purchases
from training_jobs.two_tower.export import (
    retrieval_parity,
    user_tower_onnx,
)
from training_jobs.two_tower.fitting import TowerData, fit_early, tower_data
from training_jobs.two_tower.model import TowerShape, UserTower
from training_jobs.two_tower.processes import ALONE, Processes, joined
from training_jobs.two_tower.towers import EARLY, Towers, as_function, finished, tower_feed
from training_jobs.two_tower.training import Checkpoints, TowerSettings, Trained, train_towers

QUERIES = 200  # shoppers on whom the exported graphs are compared


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters."""

    holdout_days: int = 28
    width: int = 64
    epochs: float = 10.0
    fewest_steps: int = 100
    most_steps: int = 20_000
    seed: int = 1
    threads: int = 1

    def training(self) -> TowerSettings:
        """As the training reads them."""
        return TowerSettings(
            shape=TowerShape(width=self.width),
            epochs=self.epochs,
            fewest_steps=self.fewest_steps,
            most_steps=self.most_steps,
            seed=self.seed,
        )


def main(environment: JobEnvironment, processes: Processes = ALONE) -> None:
    """Run the job; of several processes all train and the first writes."""
    settings = environment.settings(Settings)
    torch.set_num_threads(settings.threads)
    exports = exports_of(environment)
    content = environment.channel("content")
    vectors, rows = np.load(content / CONTENT_VECTORS), np.load(content / CONTENT_ROWS)
    evaluate_from = exports.data_until - timedelta(days=settings.holdout_days)
    first, second, *_ = (*label_cuts(exports.data_from, evaluate_from), evaluate_from)
    training = settings.training()

    early_data = tower_data(exports, until=first, content_vectors=vectors, content_rows=rows)
    early = fit_early(
        exports,
        early_data,
        training,
        until=first,
        tail_until=second,
        checkpoints=_checkpoints(environment, "early"),
        processes=processes,
    )
    data = tower_data(exports, until=evaluate_from, content_vectors=vectors, content_rows=rows)
    final = train_towers(
        data.purchases,
        data.catalogue,
        training,
        steps=max(early.best_step, 1),
        checkpoints=_checkpoints(environment, "final"),
        processes=processes,
        label="refit",
    )
    if processes.rank == 0:
        _write(environment.model_dir / EARLY, early, early_data.purchases)
        _publish(environment, exports, data, early=early, final=final, train_until=evaluate_from)


def _publish(
    environment: JobEnvironment,
    exports: Exports,
    data: TowerData,
    *,
    early: Trained,
    final: Trained,
    train_until: datetime,
) -> None:
    """Write the towers that serve, and their metrics."""
    parity = _write(environment.model_dir, final, data.purchases)
    towers = finished(final.towers, data.purchases)
    parity[RETRIEVAL] = _write_retrieval(environment.model_dir, towers, data)
    np.save(environment.model_dir / ITEM_IDS, exports.item_ids)
    environment.write_curves(
        {
            "train_loss": [point["loss"] for point in early.curve if point["step"] > 0],
            "valid_recall@20": [point["measure"] for point in early.curve if "measure" in point],
        }
    )
    environment.write_metrics(
        {
            "best_step": early.best_step,
            "tail_recall@20": max((point.get("measure", 0.0) for point in early.curve), default=0.0),
            "onnx_parity": parity,
            "train_until": train_until.isoformat(),
        }
    )


def _checkpoints(environment: JobEnvironment, name: str) -> Checkpoints:
    checkpoints = Checkpoints(environment.checkpoint_dir / f"{name}.pt")
    checkpoints.listen()
    return checkpoints


def _write(folder: Path, trained: Trained, data: Purchases) -> dict[str, Any]:
    """Write the towers; returns the difference of ONNX from PyTorch."""
    folder.mkdir(parents=True, exist_ok=True)
    user = UserTower(trained.towers).eval()
    towers = finished(trained.towers, data)
    content = user_tower_onnx(user)
    (folder / USER_TOWER).write_bytes(content)
    np.save(folder / ITEM_VECTORS, towers.item_vectors)
    (folder / PREFERENCE).write_bytes(to_npz(towers.preference))
    exported, source = onnx_function(content), as_function(user)
    worst = 0.0
    for shopper in _some_shoppers(data):
        feed = tower_feed(data, shopper)
        worst = max(worst, assert_parity(source(feed), exported(feed), name=USER_TOWER))
    return {USER_TOWER: {"max_abs_difference": worst}}


def _write_retrieval(folder: Path, towers: Towers, data: TowerData) -> dict[str, float]:
    """Write retrieval.onnx; its fp32 form agrees with numpy, its 8-bit form keeps the best hundred."""
    feeds = [tower_feed(data.purchases, shopper) for shopper in _some_shoppers(data.purchases)]
    queries = np.concatenate([towers.user_tower(feed)["user_vec"] for feed in feeds])
    content, parity = retrieval_parity(towers.item_vectors, queries, name=RETRIEVAL)
    (folder / RETRIEVAL).write_bytes(content)
    return parity


def _some_shoppers(data: Purchases) -> list[int]:
    warm = np.flatnonzero(np.diff(data.offsets) > 0)
    return [int(shopper) for shopper in warm[:: max(len(warm) // QUERIES, 1)]]


if __name__ == "__main__":
    with joined() as running:
        main(JobEnvironment.from_environment(os.environ), running)
