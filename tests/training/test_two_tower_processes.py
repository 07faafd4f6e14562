"""Two processes that share every batch train the same towers as one."""

from __future__ import annotations

import multiprocessing
import os
import socket
from multiprocessing.queues import Queue
from typing import Any

import numpy as np
import torch

from training_jobs.two_tower.batches import Drawing
from training_jobs.two_tower.data import Catalogue, Purchases
from training_jobs.two_tower.model import TowerShape, TwoTower
from training_jobs.two_tower.processes import joined
from training_jobs.two_tower.training import TowerSettings, train_towers

ITEMS, SHOPPERS, EACH = 40, 120, 8
SETTINGS = TowerSettings(
    shape=TowerShape(width=8, hidden=16), fewest_steps=60, epochs=0.0, drawing=Drawing(targets=128), negatives=64
)


def _train(environment: dict[str, str], told: Queue[Any] | None = None) -> np.ndarray[Any, Any]:
    """Item vectors after training; shoppers of two tastes, items 0-19 and 20-39."""
    torch.set_num_threads(1)
    os.environ.update(environment)
    rng = np.random.default_rng(3)
    items = np.concatenate([rng.choice(20, EACH, replace=False) + 20 * (s % 2) for s in range(SHOPPERS)])
    data = Purchases(np.arange(SHOPPERS + 1) * EACH, items.astype(np.int32), np.ones(len(items), np.float32), ITEMS)
    silent = Catalogue(np.zeros((1, 1), np.float32), np.zeros(ITEMS, np.int32), ())
    with joined(environment) as processes:
        towers = train_towers(data, silent, SETTINGS, measure=_contrast, processes=processes).towers
    vectors = towers.item_vectors().numpy()
    if told is not None:
        told.put((environment["RANK"], vectors))
    return vectors


def _contrast(towers: TwoTower) -> float:
    """How much closer items of one taste are to each other than to the rest."""
    likeness = towers.item_vectors() @ towers.item_vectors().T
    return float(likeness[:20, :20].mean() - likeness[:20, 20:].mean())


def _of(vectors: np.ndarray[Any, Any]) -> float:
    likeness = vectors @ vectors.T
    return float(likeness[:20, :20].mean() - likeness[:20, 20:].mean())


def test_two_processes_end_with_one_model_as_good_as_that_of_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    ranks = [context.Process(target=_train, args=({**address, "RANK": rank}, told)) for rank in ("0", "1")]
    for process in ranks:
        process.start()

    alone = _train({})
    vectors = dict(told.get(timeout=120) for _ in ranks)
    for process in ranks:
        process.join(timeout=60)

    assert [process.exitcode for process in ranks] == [0, 0]
    assert np.allclose(vectors["0"], vectors["1"], atol=1e-6)
    assert abs(_of(vectors["0"]) - _of(alone)) < 0.1 * _of(alone)
