"""The ranker: a small MLP over features, trained to rank purchases above other candidates within each request.

The loss is the sum over groups of -sum_bought log softmax(score) / sqrt(bought), once over all candidates and once over
those that the shopper does not own, so that new items are told from each other too. Clicks and additions to the cart
have heads of their own, trained likewise on recorded visits; without recordings the purchase head takes their place,
and the metrics contain a note. Each head ends in a logistic fitted on held-out requests, so that it is a probability.
The clamp limits the effect of a single feature, such as a mistyped price. Normalisation, MLP and calibration are one
ONNX graph. Letters: G groups, C candidates, F features, H heads.

Decisions: docs/decisions/ranker.md (022).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Flags, Floats
from recommender.domain.models.bundle import Model
from recommender.errors import ArtifactRefused
from torch import Tensor, nn
from tqdm import tqdm

from training_jobs.onnx_models import onnx_bytes, require_finite, torch_function
from training_jobs.session_ranker.calibration import Reliability, fit_logistic, halves, of_heads, reliability
from training_jobs.session_ranker.data import Group

CLIP = 5.0  # standard deviations
MASKED = -1e9
FEWEST_STEPS = 20  # of the schedule, whose rise must take more than one step
HELD_OUT_EACH = 10  # one group in ten is for calibration
HEADS: Final = ("purchase", "click", "cart")  # requests are ranked by the first
OUTPUTS: Final = ("score", "click", "cart", "purchase")  # the score is the purchase head
PURCHASES: Final = "purchases of the weeks after each cut"
RECORDED: Final = "recorded visits"
NOT_RECORDED: Final = "nothing: no recorded visits; answers as the purchase head"


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
    """Features (C, F) -> probabilities (C,) of a click, an addition to the cart and a purchase."""

    mean: Tensor  # (F,)
    spread: Tensor  # (F,)
    slope: Tensor  # (H,)
    offset: Tensor  # (H,)

    def __init__(self, mean: Floats, spread: Floats, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("spread", torch.from_numpy(spread))
        self.register_buffer("slope", torch.ones(len(HEADS)))
        self.register_buffer("offset", torch.zeros(len(HEADS)))
        first, second = hidden
        self.trunk = nn.Sequential(nn.Linear(len(mean), first), nn.GELU(), nn.Linear(first, second), nn.GELU())
        self.heads = nn.Linear(second, len(HEADS))

    def raw(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., H) the uncalibrated scores."""
        normal = ((features - self.mean) / self.spread).clamp(-CLIP, CLIP)
        scores: Tensor = self.heads(self.trunk(normal))
        return scores

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(C, F) -> (C,) each: the score that is ranked by, then click, cart and purchase."""
        probability = torch.sigmoid(self.slope * self.raw(features) + self.offset)  # (C, H)
        purchase, click, cart = probability.unbind(dim=1)
        return purchase.clone(), click, cart, purchase


@dataclass(frozen=True, slots=True)
class TrainedRanker:
    """The ranker, its training curve and its metrics."""

    module: Ranker
    curve: tuple[dict[str, float], ...]  # epoch, loss
    metrics: Mapping[str, Any]


def train_ranker(groups: Sequence[Group], settings: RankerSettings) -> TrainedRanker:
    """Train on most groups, calibrate on the others. Raises ArtifactRefused where there is nothing to learn from."""
    if not groups:
        raise ArtifactRefused("the ranker has 0 labelled requests, expected purchases in the weeks after its cuts")
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(groups))
    held_out = [groups[n] for n in order[::HELD_OUT_EACH]]
    kept = [groups[n] for n in order if n not in set(order[::HELD_OUT_EACH].tolist())] or held_out
    mean, spread = _moments(kept)
    ranker = Ranker(mean, spread, settings.hidden)
    batches = -(-len(kept) // settings.groups_per_batch)
    optimizer = torch.optim.AdamW(ranker.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    total = settings.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=max(total, FEWEST_STEPS), pct_start=0.1
    )
    curve = []
    with tqdm(total=total, desc="ranker", unit="step", file=sys.stderr, mininterval=2.0) as progress:
        for epoch in range(settings.epochs):
            losses = []
            for number, part in enumerate(np.array_split(rng.permutation(len(kept)), batches)):
                loss = _list_loss(ranker, [kept[n] for n in part])
                losses.append(require_finite(loss.item(), batch=f"ranker, epoch {epoch + 1}, batch {number + 1}"))
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                progress.update()
            curve.append({"epoch": float(epoch + 1), "loss": float(np.mean(losses))})
    ranker.eval()
    return TrainedRanker(ranker, tuple(curve), _calibrate(ranker, kept, held_out))


def as_function(ranker: Ranker) -> Model:
    """The PyTorch ranker as a function of arrays: features (C, F) -> OUTPUTS, (C,) each."""
    return torch_function(ranker, inputs=["features"], outputs=OUTPUTS)


def ranker_onnx(ranker: Ranker) -> bytes:
    """`ranker.onnx`: features (C, F) -> score, click, cart, purchase, (C,) each; C free."""
    candidates = torch.export.Dim("candidates", min=1, max=100_000)
    return onnx_bytes(
        ranker,
        (torch.zeros(3, len(ranker.mean)),),
        inputs=["features"],
        outputs=OUTPUTS,
        free={"features": {0: candidates}},
    )


def _moments(groups: Sequence[Group]) -> tuple[Floats, Floats]:
    features = np.concatenate([group.features for group in groups[:500]])
    spread = features.std(axis=0)
    return features.mean(axis=0), np.where(spread > 1e-6, spread, 1.0).astype(np.float32)


def _list_loss(ranker: Ranker, groups: Sequence[Group]) -> Tensor:
    """Mean over groups of the list losses; groups are padded to the longest."""
    longest = max(len(group.features) for group in groups)
    features = np.zeros((len(groups), longest, groups[0].features.shape[1]), np.float32)  # (G, C, F)
    is_there, is_new = np.zeros((2, len(groups), longest), bool)
    hits = np.zeros((len(HEADS), len(groups), longest), np.float32)  # (H, G, C)
    for n, group in enumerate(groups):
        size = len(group.features)
        features[n, :size], is_there[n, :size], is_new[n, :size] = group.features, True, ~group.is_owned
        for head, name in enumerate(HEADS):
            labels = hits_of(group, name)
            if labels is not None:
                hits[head, n, :size] = labels
    scores = ranker.raw(torch.from_numpy(features))  # (G, C, H)
    among, wanted = torch.from_numpy(is_there), torch.from_numpy(hits)
    loss = _softmax_loss(scores[..., 0], wanted[0], among) + _softmax_loss(
        scores[..., 0], wanted[0], torch.from_numpy(is_new)
    )
    for head in range(1, len(HEADS)):
        if hits[head].any():
            loss = loss + _softmax_loss(scores[..., head], wanted[head], among)
    return loss


def hits_of(group: Group, head: str) -> Flags | None:
    """(C,) the hits that the head predicts; None where nobody recorded them."""
    return {"purchase": group.is_bought, "click": group.is_clicked, "cart": group.is_carted}[head]


def _softmax_loss(scores: Tensor, bought: Tensor, among: Tensor) -> Tensor:
    """Mean over groups of -sum_bought log softmax / sqrt(bought), over the candidates in `among`; all (G, C)."""
    log_shares = torch.log_softmax(scores.masked_fill(~among, MASKED), dim=1)
    wanted = bought * among
    count = wanted.sum(dim=1)  # (G,)
    losses = -(wanted * log_shares.masked_fill(~among, 0.0)).sum(dim=1) / count.clamp(min=1.0).sqrt()
    return losses.mean()


def _calibrate(ranker: Ranker, kept: Sequence[Group], held_out: Sequence[Group]) -> dict[str, Any]:
    """Fit each head's logistic on half of the held-out groups, judge it on the other half."""
    fits: dict[str, Reliability] = {}
    sources: dict[str, str] = {}
    for head, name in enumerate(HEADS):
        known = [group for group in held_out if hits_of(group, name) is not None]
        if not known or not any(_any_hit(group, name) for group in kept):
            ranker.heads.weight.data[head] = ranker.heads.weight.data[0]
            ranker.heads.bias.data[head] = ranker.heads.bias.data[0]
            ranker.slope[head], ranker.offset[head] = ranker.slope[0], ranker.offset[0]
            sources[name] = NOT_RECORDED
            continue
        fitted, judged = halves(known)
        logistic = fit_logistic(*_scored(ranker, fitted, name))
        ranker.slope[head], ranker.offset[head] = logistic.slope, logistic.offset
        scores, hits = _scored(ranker, judged, name)
        fits[name], sources[name] = reliability(logistic(scores), hits), RECORDED if head else PURCHASES
    purchase = fits["purchase"]
    return {"held_out_log_loss": purchase.log_loss, "ece": purchase.expected_error, "heads": of_heads(fits, sources)}


def _any_hit(group: Group, head: str) -> bool:
    hits = hits_of(group, head)
    return hits is not None and bool(hits.any())


def _scored(ranker: Ranker, groups: Sequence[Group], head: str) -> tuple[NDArray[np.float64], Flags]:
    """Raw scores and hits of all candidates of the groups, one after the other."""
    with torch.no_grad():
        features = torch.from_numpy(np.concatenate([group.features for group in groups]))
        raw = ranker.raw(features)[:, HEADS.index(head)].numpy().astype(np.float64)
    return raw, np.concatenate([np.asarray(hits_of(group, head), bool) for group in groups])
