"""The ranker: a small MLP over features, trained to put what was bought before what was not, within each request.

    loss = sum over groups of -sum_bought log softmax(score) / sqrt(bought), once over all candidates and once
    over those the shopper does not own yet, so that new items are told apart too and not only from the owned ones

Then a and b of sigmoid(a score + b) are fitted on held-out requests, so that the score is a probability.
Normalisation, MLP and calibration are one ONNX graph. Letters: G groups, C candidates, F features.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.arrays import Floats
from recommender.domain.bundle import Model
from torch import Tensor, nn
from tqdm import tqdm

from training_jobs.session_ranker.ranker_data import Group

CLIP = 5.0  # standard deviations
MASKED = -1e9
HELD_OUT_EACH = 10  # one group in ten is for calibration
NEWTON_STEPS = 30


@dataclass(frozen=True, slots=True)
class RankerSettings:
    """Sizes and training of the ranker."""

    hidden: tuple[int, int] = (64, 32)
    epochs: int = 4
    groups_per_batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    seed: int = 1


class Ranker(nn.Module):
    """Features (C, F) -> score (C,), a probability."""

    mean: Tensor  # (F,)
    spread: Tensor  # (F,)
    slope: Tensor  # ()
    offset: Tensor  # ()

    def __init__(self, mean: Floats, spread: Floats, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("spread", torch.from_numpy(spread))
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("offset", torch.zeros(()))
        first, second = hidden
        self.mlp = nn.Sequential(
            nn.Linear(len(mean), first), nn.GELU(), nn.Linear(first, second), nn.GELU(), nn.Linear(second, 1)
        )

    def raw(self, features: Tensor) -> Tensor:
        """(..., F) -> (...,) the uncalibrated score."""
        normal = ((features - self.mean) / self.spread).clamp(-CLIP, CLIP)
        scores: Tensor = self.mlp(normal).squeeze(-1)
        return scores

    def forward(self, features: Tensor) -> Tensor:
        """(C, F) -> (C,) probabilities."""
        return torch.sigmoid(self.slope * self.raw(features) + self.offset)


@dataclass(frozen=True, slots=True)
class TrainedRanker:
    """The ranker and how its training went."""

    module: Ranker
    curve: tuple[dict[str, float], ...]  # epoch, loss
    metrics: Mapping[str, float]


def train_ranker(groups: Sequence[Group], settings: RankerSettings) -> TrainedRanker:
    """Train on most groups, calibrate on the others."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(groups))
    held_out = [groups[n] for n in order[::HELD_OUT_EACH]]
    kept = [groups[n] for n in order if n not in set(order[::HELD_OUT_EACH].tolist())] or held_out
    mean, spread = _moments(kept)
    ranker = Ranker(mean, spread, settings.hidden)
    batches = -(-len(kept) // settings.groups_per_batch)
    optimizer = torch.optim.AdamW(ranker.mlp.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    total = settings.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=total, pct_start=0.1)
    curve = []
    with tqdm(total=total, desc="ranker", unit="step", file=sys.stderr, mininterval=2.0) as progress:
        for epoch in range(settings.epochs):
            losses = []
            for part in np.array_split(rng.permutation(len(kept)), batches):
                loss = _list_loss(ranker, [kept[n] for n in part])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
                progress.update()
            curve.append({"epoch": float(epoch + 1), "loss": float(np.mean(losses))})
    ranker.eval()
    return TrainedRanker(ranker, tuple(curve), _calibrate(ranker, held_out))


def as_function(ranker: Ranker) -> Model:
    """The PyTorch ranker as a function of arrays, as an ONNX session is."""

    def run(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        with torch.inference_mode():
            return {"score": ranker(torch.from_numpy(feed["features"])).numpy()}

    return run


def ranker_onnx(ranker: Ranker) -> bytes:
    """`ranker.onnx`: features (C, F) -> score (C,), C free."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecated parts
        program = torch.onnx.export(
            ranker.eval(),
            (torch.zeros(3, len(ranker.mean)),),
            input_names=["features"],
            output_names=["score"],
            dynamic_shapes={"features": {0: torch.export.Dim("candidates", min=1, max=100_000)}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # the exporter raises where it cannot
    content: bytes = program.model_proto.SerializeToString()
    return content


def _moments(groups: Sequence[Group]) -> tuple[Floats, Floats]:
    features = np.concatenate([group.features for group in groups[:500]])
    spread = features.std(axis=0)
    return features.mean(axis=0), np.where(spread > 1e-6, spread, 1.0).astype(np.float32)


def _list_loss(ranker: Ranker, groups: Sequence[Group]) -> Tensor:
    """Mean over groups of the two list losses; groups are padded to the longest."""
    longest = max(len(group.features) for group in groups)
    features = np.zeros((len(groups), longest, groups[0].features.shape[1]), np.float32)  # (G, C, F)
    bought = np.zeros((len(groups), longest), np.float32)
    is_there = np.zeros((len(groups), longest), bool)
    is_new = np.zeros((len(groups), longest), bool)
    for n, group in enumerate(groups):
        size = len(group.features)
        features[n, :size], bought[n, :size], is_there[n, :size] = group.features, group.is_bought, True
        is_new[n, :size] = ~group.is_owned
    scores = ranker.raw(torch.from_numpy(features))  # (G, C)
    wanted = torch.from_numpy(bought)
    return _softmax_loss(scores, wanted, torch.from_numpy(is_there)) + _softmax_loss(
        scores, wanted, torch.from_numpy(is_new)
    )


def _softmax_loss(scores: Tensor, bought: Tensor, among: Tensor) -> Tensor:
    """Mean over groups of -sum_bought log softmax / sqrt(bought), over the candidates in `among`; all (G, C)."""
    log_shares = torch.log_softmax(scores.masked_fill(~among, MASKED), dim=1)
    wanted = bought * among
    count = wanted.sum(dim=1)  # (G,)
    losses = -(wanted * log_shares.masked_fill(~among, 0.0)).sum(dim=1) / count.clamp(min=1.0).sqrt()
    return losses.mean()


def _calibrate(ranker: Ranker, groups: Sequence[Group]) -> dict[str, float]:
    """Fit slope and offset of the logistic by Newton steps; a ridge keeps both where there is little evidence."""
    features = torch.from_numpy(np.concatenate([group.features for group in groups]))
    bought = np.concatenate([group.is_bought for group in groups]).astype(np.float64)
    with torch.no_grad():
        raw = ranker.raw(features).numpy().astype(np.float64)
    centre, scale = float(raw.mean()), max(float(raw.std()), 1e-6)
    design = np.stack([(raw - centre) / scale, np.ones_like(raw)], axis=1)
    weights = np.array([1.0, np.log((bought.mean() + 1e-6) / (1 - bought.mean() + 1e-6))])
    for _ in range(NEWTON_STEPS):
        probability = 1.0 / (1.0 + np.exp(-design @ weights))
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + 1e-3 * np.eye(2)
        weights = weights - np.linalg.solve(
            curvature, design.T @ (probability - bought) + 1e-3 * (weights - [1.0, 0.0])
        )
    weights[0] = max(weights[0], 1e-3)  # the order must survive
    slope = weights[0] / scale
    ranker.slope.fill_(slope)
    ranker.offset.fill_(weights[1] - slope * centre)
    probability = 1.0 / (1.0 + np.exp(-design @ weights))
    entropy = -np.mean(bought * np.log(probability + 1e-12) + (1 - bought) * np.log(1 - probability + 1e-12))
    return {"held_out_log_loss": float(entropy), "bought_share": float(bought.mean())}
