"""The trained towers as other parts use them: item vectors, a user tower, and the spread of shoppers' preferences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.contracts.artifacts import ITEM_VECTORS, PREFERENCE, USER_TOWER
from recommender.domain.models.arrays import Floats, from_npz
from recommender.domain.models.bundle import Model
from recommender.domain.models.posterior import PreferencePrior

from training_jobs.onnx_models import onnx_function, torch_function
from training_jobs.two_tower.data import Purchases
from training_jobs.two_tower.model import TwoTower, UserTower

EARLY = "early"  # folder of the towers trained before the ranker's first cut
WARM_SHOPPERS = 20_000  # sampled beyond that
HEAVIEST = 256
SMALLEST_VARIANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Towers:
    """The parts of the two-tower model that a bundle takes."""

    item_vectors: Floats  # (I, D) unit length
    user_tower: Model  # history (1, L), weights (1, L) -> user_vec (1, D)
    preference: PreferencePrior


def finished(model: TwoTower, data: Purchases) -> Towers:
    """Freeze the towers and measure their warm shoppers."""
    user = UserTower(model).eval()
    item_vectors: Floats = user.vectors.numpy()
    tower = as_function(user)
    return Towers(item_vectors, tower, preference_prior(tower, item_vectors, data, np.random.default_rng(0)))


def as_function(user: UserTower) -> Model:
    """The PyTorch user tower as a function of arrays: history (1, L), weights (1, L) -> user_vec (1, D)."""
    return torch_function(user, inputs=["history", "weights"], outputs=["user_vec"])


def preference_prior(tower: Model, item_vectors: Floats, data: Purchases, rng: np.random.Generator) -> PreferencePrior:
    """Mean and eigenbasis of warm shoppers' vectors; `item_vectors` (I, D).

    The noise is the distance of their purchases' scores from 1.
    """
    warm = np.flatnonzero(np.diff(data.offsets) > 0)
    if len(warm) > WARM_SHOPPERS:
        warm = np.sort(rng.choice(warm, WARM_SHOPPERS, replace=False))
    width = item_vectors.shape[1]
    if len(warm) < 2:
        mean = _unit(item_vectors.mean(axis=0)) if len(item_vectors) else np.zeros(width, np.float32)
        return PreferencePrior(mean, np.eye(width, dtype=np.float32), np.full(width, 1.0 / width, np.float32), 1.0)
    vectors = np.empty((len(warm), width), np.float32)
    residuals = np.empty(len(warm))
    for n, shopper in enumerate(warm):
        feed = tower_feed(data, int(shopper))
        vectors[n] = tower(feed)["user_vec"][0]
        residuals[n] = np.mean((1.0 - item_vectors[feed["history"][0]] @ vectors[n]) ** 2)
    variances, basis = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)))
    return PreferencePrior(
        mean=vectors.mean(axis=0),
        basis=basis.astype(np.float32),
        variances=np.maximum(variances, SMALLEST_VARIANCE).astype(np.float32),
        noise_variance=float(residuals.mean()),
    )


def heaviest(data: Purchases, shopper: int) -> tuple[NDArray[np.int32], Floats]:
    """The rows (L,) and weights (L,) of a shopper that the user tower reads."""
    span = data.of(shopper)
    rows, weights = data.items[span], data.weights[span]
    if len(rows) <= HEAVIEST:
        return rows, weights
    kept = np.sort(np.argpartition(-weights, HEAVIEST)[:HEAVIEST])
    return rows[kept], weights[kept]


def tower_feed(data: Purchases, shopper: int) -> dict[str, NDArray[Any]]:
    """The inputs of the user tower for a shopper: history (1, L), weights (1, L)."""
    rows, weights = heaviest(data, shopper)
    return {"history": rows[None].astype(np.int64), "weights": weights[None]}


def _unit(vector: Floats) -> Floats:
    unit: Floats = (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
    return unit


def load_towers(folder: Path) -> Towers:
    """The towers that the two-tower job wrote into a folder; its `early/` holds those for the ranker's labels."""
    return Towers(
        item_vectors=np.load(folder / ITEM_VECTORS),
        user_tower=onnx_function((folder / USER_TOWER).read_bytes()),
        preference=from_npz(PreferencePrior, (folder / PREFERENCE).read_bytes()),
    )
