"""The session layer as one model: session-kNN and the neural encoder, fused; every choice made on the tail of train.

1. The encoder is trained on all but the newest sessions (the tail).
2. The kNN's settings and the fusion are chosen by the tail's next items, with an index that has not seen the tail.
3. The index is rebuilt on everything, and the encoder takes a short further pass over the newest sessions, the tail
   among them, at a low rate.
Nothing after the training sessions is ever looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from recommender.domain.arrays import Doubles, Floats, Rows
from recommender.domain.fusion import Fusion, fuse
from recommender.domain.session_knn import DEFAULT_SETTINGS, KnnSettings, SessionIndex, build_index, session_scores

from training_jobs.session_ranker.encoder import LONGEST, EncoderSettings, LastVector, SessionEncoder, vectors_of
from training_jobs.session_ranker.encoder_training import (
    Sequences,
    TrainingRun,
    TrainingSettings,
    new_encoder,
    train_encoder,
)
from training_jobs.session_ranker.prefixes import LISTED, Answers, Prefixes, all_prefixes, collect, marks

TAIL_SHARE = 0.05
TAIL_PREFIXES = 4000  # asked for each choice
FEWEST = 50  # prefixes of a tail that can decide anything
ENCODED_AT_ONCE = 512
FINISH_SHARE = 0.2  # newest sessions in the further pass
FINISH_EPOCHS = 2.0
FINISH_RATE = 0.5  # of the peak rate

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Knn:
    """The kNN's choice: neighbours, sampled sessions, how fast evidence fades."""

    k: int = 500
    sample: int = 5000
    settings: KnnSettings = DEFAULT_SETTINGS


ORDERLESS = replace(DEFAULT_SETTINGS, position=10.0, distance=1000.0)  # for baskets
KNN_CHOICES = (
    Knn(),
    Knn(settings=replace(DEFAULT_SETTINGS, position=1.25)),
    Knn(settings=replace(DEFAULT_SETTINGS, position=4.0)),
    Knn(settings=replace(DEFAULT_SETTINGS, idf_weight=2.0)),
    Knn(settings=replace(DEFAULT_SETTINGS, distance=5.0, shared=5.0)),
    Knn(settings=ORDERLESS),
    Knn(k=1500),
)
FUSION_CHOICES = (
    Fusion("rank", (0.5, 0.5)),
    Fusion("rank", (0.7, 0.3)),
    *(Fusion("share", (encoder, 1.0 - encoder)) for encoder in (0.2, 0.35, 0.5, 0.65, 0.8)),
)  # weights of (encoder, kNN)


@dataclass(frozen=True, slots=True)
class SessionModelSettings:
    """Encoder, its training, the share of sessions in the tail, and what is chosen among."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tail_share: float = TAIL_SHARE
    tail_prefixes: int = TAIL_PREFIXES
    knn_choices: tuple[Knn, ...] = KNN_CHOICES


@dataclass(frozen=True, slots=True)
class SessionModel:
    """What was fitted, and on what grounds it was chosen."""

    index: SessionIndex
    knn: Knn
    encoder: SessionEncoder
    item_vectors: Floats  # (I, E)
    fusion: Fusion
    now_days: float
    run: TrainingRun
    choices: dict[str, float] = field(default_factory=dict)  # candidate -> its mark on the tail
    cpu_seconds: float = 0.0

    def neighbours(self, visit: Rows, *, limit: int = LISTED) -> tuple[Rows, Floats]:
        """What session-kNN lists after these items."""
        return knn_list(self.index, visit, self.knn, now_days=self.now_days, limit=limit)

    def answers(self, prefixes: Prefixes) -> dict[str, Answers]:
        """The lists of the two members and of the fusion, by name."""
        members = {
            "session_encoder": encoder_answers(self.encoder, prefixes),
            "vstan": knn_answers(self.index, prefixes, self.knn, now_days=self.now_days),
        }
        return {**members, "hybrid": fused(members["session_encoder"], members["vstan"], self.fusion)}


def fit_session_model(
    sequences: Sequences,
    days: Doubles,
    *,
    count_items: int,
    settings: SessionModelSettings,
    report: Report = lambda line: None,
) -> SessionModel:
    """Fit on sequences in order of time that ended on `days` (S,)."""
    started = time.process_time()
    count_tail = int(len(sequences) * settings.tail_share)
    head = sequences.part(0, len(sequences) - count_tail)
    tail = _tail_prefixes(sequences, head, count_items, most=settings.tail_prefixes)
    is_chosen = len(tail) >= FEWEST
    encoder = new_encoder(count_items, settings.encoder, seed=settings.training.seed)
    run = train_encoder(encoder, head if is_chosen else sequences, settings.training, on_step=_steps(report))
    knn, fusion, choices = settings.knn_choices[0], FUSION_CHOICES[0], dict[str, float]()
    now_days = float(days[-1]) if len(days) else 0.0
    if is_chosen:
        index = build_index(head.offsets, head.items, days[: len(head)], count_items=count_items)
        knn, fusion, choices = _choose(index, encoder, tail, settings.knn_choices, now_days=now_days)
        report(f"chosen on {len(tail)} prefixes of the tail: {knn}, {fusion}")
        _finish(encoder, sequences, settings.training)
    return SessionModel(
        index=build_index(sequences.offsets, sequences.items, days, count_items=count_items),
        knn=knn,
        encoder=encoder,
        item_vectors=vectors_of(encoder),
        fusion=fusion,
        now_days=now_days,
        run=run,
        choices=choices,
        cpu_seconds=time.process_time() - started,
    )


def knn_answers(index: SessionIndex, prefixes: Prefixes, knn: Knn, *, now_days: float) -> Answers:
    """The kNN's lists, one prefix at a time, by the code that serves."""
    return collect([knn_list(index, prefixes.visit(n), knn, now_days=now_days) for n in range(len(prefixes))])


def knn_list(
    index: SessionIndex, visit: Rows, knn: Knn, *, now_days: float, limit: int = LISTED
) -> tuple[Rows, Floats]:
    """One list of the kNN."""
    return session_scores(
        index, visit, now_days=now_days, k=knn.k, sample=knn.sample, limit=limit, settings=knn.settings
    )


@torch.no_grad()
def encoder_answers(encoder: SessionEncoder, prefixes: Prefixes, *, size: int = LISTED) -> Answers:
    """The encoder's lists over the full catalogue; scores are exp(cosine / temperature), scaled to at most 1."""
    encoder.eval()
    last, vectors = LastVector(encoder), encoder.item_vectors()  # (I, E)
    size, temperature = min(size, len(vectors)), encoder.settings.temperature
    rows, scores = [np.empty((0, size), np.int32)], [np.empty((0, size), np.float32)]
    newest = torch.from_numpy(prefixes.newest(LONGEST).astype(np.int64))  # (N, L)
    for block in torch.split(newest, ENCODED_AT_ONCE):
        cosine, found = (last(block) @ vectors.T).topk(size, dim=1)  # (B, K)
        has_items = (block >= 0).any(dim=1, keepdim=True)
        rows.append(torch.where(has_items, found, -1).int().numpy())
        scores.append(torch.where(has_items, ((cosine - 1.0) / temperature).exp(), 0.0).numpy())
    return Answers(np.concatenate(rows), np.concatenate(scores))


def fused(encoder: Answers, knn: Answers, fusion: Fusion) -> Answers:
    """The lists of both members joined."""
    return collect([fuse([encoder.listed(n), knn.listed(n)], fusion, limit=LISTED) for n in range(len(encoder.rows))])


def _tail_prefixes(sequences: Sequences, head: Sequences, count_items: int, *, most: int) -> Prefixes:
    """At most `most` questions from the sessions after `head`, of items that `head` knows."""
    is_known = np.bincount(head.items, minlength=count_items) > 0
    tail = sequences.part(len(head), len(sequences))
    items = np.where(is_known[tail.items], tail.items, -1).astype(np.int32)
    prefixes = all_prefixes(tail.offsets, items)
    step = max(1, -(-len(prefixes) // most))
    return prefixes.take(np.arange(0, len(prefixes), step))


def _choose(
    index: SessionIndex, encoder: SessionEncoder, tail: Prefixes, among: tuple[Knn, ...], *, now_days: float
) -> tuple[Knn, Fusion, dict[str, float]]:
    """The best kNN, then the best fusion of it with the encoder."""
    by_knn = {knn: knn_answers(index, tail, knn, now_days=now_days) for knn in among}
    knn_marks = {knn: _mark(found, tail) for knn, found in by_knn.items()}
    knn = max(among, key=knn_marks.__getitem__)
    neural = encoder_answers(encoder, tail)
    fusion_marks = {fusion: _mark(fused(neural, by_knn[knn], fusion), tail) for fusion in FUSION_CHOICES}
    choices = {str(choice): mark for choice, mark in (*knn_marks.items(), *fusion_marks.items())}
    fusion = max(FUSION_CHOICES, key=fusion_marks.__getitem__)
    return knn, fusion, {**choices, "session_encoder": _mark(neural, tail)}


def _mark(answers: Answers, prefixes: Prefixes) -> float:
    """What choices are made by: the geometric mean of hit rate and reciprocal rank."""
    found = marks(answers, prefixes.targets)
    return float(np.sqrt(found["hr@20"].mean() * found["mrr@20"].mean()))


def _finish(encoder: SessionEncoder, sequences: Sequences, training: TrainingSettings) -> None:
    """A short pass over the newest sessions."""
    start = int(len(sequences) * (1.0 - FINISH_SHARE))
    newest = sequences.part(start, len(sequences))
    train_encoder(
        encoder,
        newest,
        replace(training, epochs=FINISH_EPOCHS, seconds=0.0, peak_rate=training.peak_rate * FINISH_RATE),
    )


def _steps(report: Report) -> Callable[[int, int, float], None]:
    def on_step(step: int, steps: int, loss: float) -> None:
        if step % 500 == 0 or step == steps:
            report(f"encoder step {step} of {steps}, loss {loss:.3f}")

    return on_step
