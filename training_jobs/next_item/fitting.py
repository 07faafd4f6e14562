"""Fits the next-item network on questions from the tail of train, over facts of the items counted from sequences.

The loss is a softmax over the candidates of a question against the item that came next. Most tail sessions fit the
network and the others check it; it is kept only where it beats the plain mix, refitted on both. The facts are
popularity, trend and repeats. Letters: Q questions, C candidates, F features, H and G hidden units, I items, S
sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from recommender.domain.models.arrays import Counts, Doubles, Flags, Floats, Rows
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.next_item_features import FEATURES, ItemFacts, Question, describe
from recommender.domain.models.prior import decay
from recommender.domain.models.search import Fusion
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from training_jobs.next_item.encoder_training import Sequences
from training_jobs.onnx_models import require_finite

WARM_UP = 0.1  # share of the steps
WEIGHT_DECAY = 1e-4
LONG_RUN_DAYS = 60.0  # half-lives of the two rates
TREND_DAYS = 5.0
TREND_EVIDENCE = 1.0  # pseudo-counts, per mean item and month
MONTH_DAYS = 30.0
REPEAT_EVIDENCE = 10.0


@dataclass(frozen=True, slots=True)
class FittingSettings:
    """Shape and training of the network, and how its questions are used."""

    hidden: tuple[int, int] = (32, 16)
    epochs: int = 8
    batch: int = 64  # questions
    peak_rate: float = 4e-3
    check_share: float = 0.25  # of the sessions
    fewest: int = 200  # answerable questions; fewer decide nothing
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Questions:
    """Q questions laid end to end."""

    features: Floats  # (sum of C, F)
    is_target: Flags  # (sum of C,)
    offsets: Counts  # (Q + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def and_also(self, other: Questions) -> Questions:
        """These questions and then the others."""
        return Questions(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.is_target, other.is_target]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
        )


def plain(facts: ItemFacts, fusion: Fusion, temperature: float) -> NextItem:
    """The network that is the plain mix of the encoder's list and the kNN's."""
    count = len(FEATURES)
    skip = np.zeros(count, np.float32)
    skip[FEATURES.index("mixed")] = 1.0
    return NextItem(
        **_named(facts),
        low=np.full(count, -np.inf, np.float32),
        high=np.full(count, np.inf, np.float32),
        hidden_1=np.zeros((0, count), np.float32),
        bias_1=np.zeros(0, np.float32),
        hidden_2=np.zeros((0, 0), np.float32),
        bias_2=np.zeros(0, np.float32),
        out=np.zeros(0, np.float32),
        skip=skip,
        encoder_weight=fusion.weights[0],
        by_rank=fusion.by == "rank",
        temperature=temperature,
    )


def with_facts(model: NextItem, facts: ItemFacts) -> NextItem:
    """The same network over newer facts."""
    return replace(model, **_named(facts))


def _named(facts: ItemFacts) -> dict[str, Any]:
    return {field.name: getattr(facts, field.name) for field in fields(facts)}


def collect_questions(facts: ItemFacts, pairs: Iterable[tuple[Question, int]]) -> Questions:
    """The features of questions with their targets (rows)."""
    features, is_target, sizes = [np.empty((0, len(FEATURES)), np.float32)], [np.empty(0, bool)], [0]
    for question, target in pairs:
        features.append(describe(facts, question).T)
        is_target.append(question.rows == target)
        sizes.append(len(question.rows))
    return Questions(np.concatenate(features), np.concatenate(is_target), np.cumsum(sizes).astype(np.int64))


def fit_network(
    start: NextItem,
    questions: Questions,
    settings: FittingSettings,
    *,
    report: Callable[[str], None] = lambda line: None,
) -> NextItem:
    """`start` with weights learnt from all questions that can be answered."""
    padded = _Padded.of(questions)
    if len(padded.targets) < settings.fewest:
        return start
    low, high = questions.features.min(axis=0), questions.features.max(axis=0)
    mean, spread = questions.features.mean(axis=0), questions.features.std(axis=0) + 1e-3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = _Network(len(FEATURES), settings.hidden)
        loss = _train(network, padded, torch.from_numpy(mean), torch.from_numpy(spread), settings)
    report(f"next-item network: loss {loss:.4f} over {len(padded.targets)} questions")
    return _folded(start, network, mean, spread, low, high)


class _Network(nn.Module):
    def __init__(self, count: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Linear(count, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.out = nn.Linear(hidden[1], 1, bias=False)
        self.skip = nn.Linear(count, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) -> (...,) logits."""
        second = F.relu(self.second(F.relu(self.first(x))))
        logits: Tensor = (self.out(second) + self.skip(x)).squeeze(-1)
        return logits


@dataclass(frozen=True, slots=True)
class _Padded:
    """Answerable questions as one table: row numbers into the features, -1 behind the last candidate."""

    features: Tensor  # (sum of C, F)
    places: Tensor  # (Q, most C)
    targets: Tensor  # (Q,) the target's place in its question

    @classmethod
    def of(cls, questions: Questions) -> _Padded:
        """The questions whose target is a candidate."""
        starts, sizes = questions.offsets[:-1], np.diff(questions.offsets)
        of_question = np.repeat(np.arange(len(questions)), sizes)
        hit = np.flatnonzero(questions.is_target)  # one a question at most
        answerable = of_question[hit]
        steps = np.arange(int(sizes.max(initial=0)))
        places = np.where(steps < sizes[answerable, None], starts[answerable, None] + steps, -1)
        return cls(
            torch.from_numpy(questions.features),
            torch.from_numpy(places),
            torch.from_numpy(hit - starts[answerable]),
        )


def _train(network: _Network, padded: _Padded, mean: Tensor, spread: Tensor, settings: FittingSettings) -> float:
    """Train in place; the mean loss of the last epoch."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.peak_rate, weight_decay=WEIGHT_DECAY)
    per_epoch = -(-len(padded.targets) // settings.batch)
    steps, step, total = settings.epochs * per_epoch, 0, 0.0
    for _ in range(settings.epochs):
        total = 0.0
        for batch in torch.split(torch.randperm(len(padded.targets)), settings.batch):
            step += 1
            for group in optimiser.param_groups:
                group["lr"] = settings.peak_rate * _cycle(step / steps)
            places = padded.places[batch]
            places = places[:, : int((places >= 0).sum(1).max())]
            x = (padded.features[places.clamp(min=0)] - mean) / spread  # (B, C, F)
            logits = network(x).masked_fill(places < 0, -torch.inf)
            loss = F.cross_entropy(logits, padded.targets[batch])
            require_finite(float(loss.detach()), batch=f"next-item step {step}")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(loss.detach()) * len(batch)
    return total / max(len(padded.targets), 1)


def _cycle(progress: float) -> float:
    """Share of the peak rate: a linear rise, then half a cosine."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 + 0.5 * float(np.cos(np.pi * (progress - WARM_UP) / (1.0 - WARM_UP)))


@torch.no_grad()
def _folded(start: NextItem, network: _Network, mean: Floats, spread: Floats, low: Floats, high: Floats) -> NextItem:
    """The weights as served: normalisation folded into the first layer and the skip."""
    hidden_1 = network.first.weight.numpy() / spread
    return replace(
        start,
        low=low,
        high=high,
        hidden_1=hidden_1.astype(np.float32),
        bias_1=(network.first.bias.numpy() - hidden_1 @ mean).astype(np.float32),
        hidden_2=network.second.weight.numpy().copy(),
        bias_2=network.second.bias.numpy().copy(),
        out=network.out.weight.numpy()[0].copy(),
        skip=(network.skip.weight.numpy()[0] / spread).astype(np.float32),
    )


def count_facts(sequences: Sequences, days: Doubles, *, count_items: int, now_days: float) -> ItemFacts:
    """The facts of all items as of `now_days`; sequences ended on `days` (S,)."""
    items = sequences.items
    counts = np.bincount(items, minlength=count_items)  # (I,)
    smoothed = counts + 0.5
    ages = np.maximum(now_days - np.repeat(days, np.diff(sequences.offsets)), 0.0)
    long_run = _rate(items, ages, LONG_RUN_DAYS, count_items)
    return ItemFacts(
        log_share=np.log(smoothed / smoothed.sum()).astype(np.float32),
        trend=_log_ratio(_rate(items, ages, TREND_DAYS, count_items), long_run),
        repeat_log_odds=_repeat_log_odds(sequences, counts),
    )


def _rate(items: Rows, ages: Doubles, half_life: float, count_items: int) -> Doubles:
    """(I,) clicks as if the faded ones were all that a month has: rates of different half-lives compare."""
    faded = np.bincount(items, decay(ages, half_life_days=half_life), minlength=count_items)
    monthly = len(items) * MONTH_DAYS / max(float(ages.max(initial=0.0)), MONTH_DAYS)
    return faded / max(float(faded.sum()), 1e-9) * monthly


def _log_ratio(rate: Doubles, long_run: Doubles) -> Floats:
    ratio: Floats = np.log((rate + TREND_EVIDENCE) / (long_run + TREND_EVIDENCE)).astype(np.float32)
    return ratio


def _repeat_log_odds(sequences: Sequences, counts: Counts) -> Floats:
    """(I,) log odds that a click on the item is not its first in the sequence, shrunk to the mean over items."""
    of_sequence = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    _, first = np.unique(of_sequence * len(counts) + sequences.items, return_index=True)
    repeats = counts - np.bincount(sequences.items[first], minlength=len(counts))
    mean = (repeats.sum() + 0.5) / (counts.sum() + 1.0)
    share = (repeats + REPEAT_EVIDENCE * mean) / (counts + REPEAT_EVIDENCE)
    odds: Floats = np.log(share / (1.0 - share)).astype(np.float32)
    return odds
