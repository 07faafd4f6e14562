"""Trains the session encoder: sampled softmax at every position, one cycle of the learning rate.

Negatives are drawn in proportion to popularity^0.5 and shared by the batch. Sessions of like length share a batch.
Letters: S sequences, W windows, B sessions of a batch, L their items, P positions with a target, M negatives, E width,
I items.

Decisions: docs/decisions/next-item.md (092).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Counts, Rows
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from training_jobs.next_item.encoder import LONGEST, EncoderSettings, SessionEncoder, sampled_softmax_loss
from training_jobs.onnx_models import require_finite

WARM_UP = 0.1  # share of the steps in which the rate rises
FINAL_RATE = 1e-3  # of the peak
POOL = 12_800  # sessions that are sorted by length together
REPORT_EVERY = 50  # steps
NEGATIVE_POWER = 0.5


@dataclass(frozen=True, slots=True)
class Sequences:
    """S sequences of item rows in order of time."""

    offsets: Counts  # (S + 1,)
    items: Rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def part(self, start: int, stop: int) -> Sequences:
        """The sequences start..stop-1."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        return Sequences(self.offsets[start : stop + 1] - first, self.items[first:last])


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Length and settings of the training. `seconds` of CPU bound it where `epochs` would need more; 0: no bound."""

    epochs: float = 5.0
    seconds: float = 0.0
    targets: int = 1024  # of a batch
    negatives: int = 4096
    peak_rate: float = 4e-3
    seed: int = 1


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The record of a training: steps, epochs, CPU seconds, and (step, mean loss since the last entry)."""

    steps: int
    epochs: float
    cpu_seconds: float
    curve: list[tuple[int, float]] = field(default_factory=list)


def new_encoder(count_items: int, settings: EncoderSettings, *, seed: int) -> SessionEncoder:
    """An untrained encoder; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SessionEncoder(count_items, settings)


def train_encoder(
    encoder: SessionEncoder,
    sequences: Sequences,
    settings: TrainingSettings,
    *,
    on_step: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> TrainingRun:
    """Train in place; calls `on_step(step, steps, loss)` every REPORT_EVERY steps."""
    windows = _windows(sequences)
    if not len(windows):
        return TrainingRun(0, 0.0, 0.0)
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)  # dropout
    negatives = _Negatives(sequences.items, encoder.items.num_embeddings, settings.negatives, rng)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=settings.peak_rate, fused=True)
    steps_per_epoch = max(1, round(float((windows[:, 1] - 1).sum()) / settings.targets))
    clock = _Clock(max(1, round(settings.epochs * steps_per_epoch)), settings.seconds)
    curve: list[tuple[int, float]] = []
    encoder.train()
    losses: list[float] = []
    for step, batch in enumerate(_batches(sequences, windows, settings.targets, rng), start=1):
        for group in optimiser.param_groups:
            group["lr"] = settings.peak_rate * one_cycle(clock.progress(step))
        loss = _loss(encoder, batch, negatives)
        losses.append(require_finite(float(loss.detach()), batch=f"{step} of the session encoder"))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        is_last = step >= clock.steps
        if step % REPORT_EVERY == 0 or is_last:
            curve.append((step, float(np.mean(losses[-REPORT_EVERY:]))))
            on_step(step, clock.steps, curve[-1][1])
        if is_last:
            break
    encoder.eval()
    return TrainingRun(step, step / steps_per_epoch, clock.elapsed(), curve)


def one_cycle(progress: float) -> float:
    """Share of the peak rate at `progress` in [0, 1]: a cosine rise over WARM_UP, then a cosine fall."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * progress / WARM_UP))
    fallen = (progress - WARM_UP) / (1.0 - WARM_UP)
    return FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(fallen, 1.0)))


class _Clock:
    """The number of steps: all that the settings plan, or as many as the CPU seconds allow."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps, self._seconds, self._started = steps, seconds, time.process_time()

    def elapsed(self) -> float:
        return time.process_time() - self._started

    def progress(self, step: int) -> float:
        """Share of the run that is over at this step; looks at the clock only while it may bind."""
        if (self._seconds > 0 and step in (20, 100)) or (self._seconds > 0 and step % 500 == 0):
            per_step = self.elapsed() / step
            self.steps = min(self.steps, max(step, int(self._seconds / per_step)))
        return (step - 1) / self.steps


def _windows(sequences: Sequences) -> NDArray[np.int64]:
    """(W, 2) start and length of pieces of at most LONGEST + 1 items; every item but a session's first is a target."""
    starts, sizes = sequences.offsets[:-1], np.diff(sequences.offsets)
    pieces = -(-np.maximum(sizes - 1, 0) // LONGEST)  # (S,)
    of_session = np.repeat(np.arange(len(sizes)), pieces)
    skipped = (np.arange(len(of_session)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * LONGEST
    lengths = np.minimum(LONGEST + 1, sizes[of_session] - skipped)
    return np.stack([starts[of_session] + skipped, lengths], axis=1)


def _batches(
    sequences: Sequences, windows: NDArray[np.int64], targets: int, rng: np.random.Generator
) -> Iterator[Tensor]:
    """Endless shuffled epochs of (B, L + 1) rows, -1 behind a short session's end."""
    while True:
        for chosen in batches_of_like_length(windows[:, 1], targets, rng):
            yield _padded(sequences.items, windows[chosen])


def batches_of_like_length(
    lengths: NDArray[np.int64], targets: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Numbers of windows with these `lengths` (W,), in batches of about `targets` targets, in random order.

    Windows are sorted by length within random pools, which saves most of the padding.
    """
    order = rng.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), POOL):
        pool = order[start : start + POOL]
        by_length = pool[np.argsort(lengths[pool], kind="stable")]
        number = (np.cumsum(lengths[by_length] - 1) - 1) // targets
        batches += np.split(by_length, np.flatnonzero(np.diff(number)) + 1)
    return [batches[n] for n in rng.permutation(len(batches))]


def _padded(items: Rows, spans: NDArray[np.int64]) -> Tensor:
    steps = np.arange(int(spans[:, 1].max()))  # (L + 1,)
    inside = steps < spans[:, 1:]  # (B, L + 1)
    places = np.where(inside, spans[:, :1] + steps, 0)
    return torch.from_numpy(np.where(inside, items[places], -1).astype(np.int64))


class _Negatives:
    """Draws item rows in proportion to popularity ** NEGATIVE_POWER."""

    def __init__(self, items: Rows, count_items: int, count: int, rng: np.random.Generator) -> None:
        weight = np.bincount(items, minlength=count_items) ** NEGATIVE_POWER  # (I,)
        self._cumulative = np.cumsum(weight / weight.sum())
        self._log_expected = torch.from_numpy(np.log(np.maximum(count * weight / weight.sum(), 1e-12))).float()
        self._count, self._rng = count, rng

    def draw(self) -> tuple[Tensor, Tensor]:
        """M rows and the log of how often each is expected among them."""
        drawn = np.searchsorted(self._cumulative, self._rng.random(self._count), side="right")
        rows = torch.from_numpy(np.minimum(drawn, len(self._cumulative) - 1))
        return rows, self._log_expected[rows]


def _loss(encoder: SessionEncoder, batch: Tensor, negatives: _Negatives) -> Tensor:
    """Mean sampled-softmax loss over the batch's targets."""
    context, targets = batch[:, :-1], batch[:, 1:]
    has_target = targets >= 0  # (B, L)
    target = targets[has_target]  # (P,)
    drawn, log_expected = negatives.draw()  # (M,), (M,)
    # One look-up for all three uses: each one's gradient is a matrix of the size of the catalogue.
    wanted = torch.cat([context.flatten().clamp(min=0), target, drawn])
    embedded, positives, others = encoder.items(wanted).split([context.numel(), len(target), len(drawn)])
    prefixes = encoder.read(context, embedded.view(*context.shape, -1))  # (B, L, E)
    vectors = prefixes[has_target] / encoder.settings.temperature  # (P, E)
    return sampled_softmax_loss(
        vectors,
        F.normalize(others, dim=-1),
        (vectors * F.normalize(positives, dim=-1)).sum(1),
        target=target,
        drawn=drawn,
        log_expected=log_expected,
    )
