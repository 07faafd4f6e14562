"""Fits the session layer as one model: session-kNN and the neural encoder, ranked by a network; chosen on the tail.

The encoder is trained on all but the newest sessions of train (the tail). The kNN's settings, the plain mix and the
next-item network are chosen and fitted by the tail's next items, with an index, facts and an encoder that have not seen
the tail. Then index and facts are counted from everything, and the encoder is trained on everything or (`refit` off,
where time is short) for a short further pass over the newest sessions, at a low rate. Nothing after the training
sessions is read. Letters: S sequences, N prefixes, I items, E width.

Decisions: docs/decisions/next-item.md (035).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from recommender.domain.models.arrays import Doubles, Flags, Floats, Rows
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.search import Fusion
from recommender.domain.models.session_knn import DEFAULT_SETTINGS, SessionIndex, build_index

from training_jobs.next_item.encoder import EncoderSettings, SessionEncoder, vectors_of
from training_jobs.next_item.encoder_training import (
    Sequences,
    TrainingRun,
    TrainingSettings,
    new_encoder,
    train_encoder,
)
from training_jobs.next_item.fitting import (
    FittingSettings,
    Questions,
    collect_questions,
    count_facts,
    fit_network,
    plain,
    with_facts,
)
from training_jobs.next_item.prefixes import (
    Answers,
    Encoded,
    Knn,
    Prefixes,
    all_prefixes,
    encoded,
    fused,
    knn_answers,
    knn_list,
    next_item_metrics,
    questions,
    ranked,
)

TAIL_SHARE = 0.06
TAIL_PREFIXES = 16_000  # that the network is fitted on
KNN_PREFIXES = 4000  # of them, for each choice
FEWEST = 50  # prefixes of a tail that can decide anything
FINISH_SHARE = 0.2  # newest sessions in the further pass
FINISH_EPOCHS = 2.0
FINISH_RATE = 0.5  # of the peak rate

Report = Callable[[str], None]

ORDERLESS = replace(DEFAULT_SETTINGS, position=10.0, distance=1000.0)  # for baskets
KNN_CHOICES = (
    Knn(),
    Knn(replace(DEFAULT_SETTINGS, position=1.25)),
    Knn(replace(DEFAULT_SETTINGS, position=4.0)),
    Knn(replace(DEFAULT_SETTINGS, idf_weight=2.0)),
    Knn(replace(DEFAULT_SETTINGS, distance=5.0, shared=5.0)),
    Knn(ORDERLESS),
)
FUSION_CHOICES = (
    Fusion("rank", (0.5, 0.5)),
    Fusion("rank", (0.7, 0.3)),
    *(Fusion("share", (encoder, 1.0 - encoder)) for encoder in (0.2, 0.35, 0.5, 0.65, 0.8)),
)  # weights of (encoder, kNN)


@dataclass(frozen=True, slots=True)
class SessionModelSettings:
    """Encoder, training, the share of sessions in the tail, and the candidates of each choice."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    fitting: FittingSettings = field(default_factory=FittingSettings)
    tail_share: float = TAIL_SHARE
    tail_prefixes: int = TAIL_PREFIXES
    knn_choices: tuple[Knn, ...] = KNN_CHOICES
    refit: bool = True
    keeps_questions: bool = False  # of the tail, in the model, for an ablation that fits the network in other ways


@dataclass(frozen=True, slots=True)
class SessionModel:
    """The fitted parts, and the metrics by which they were chosen."""

    index: SessionIndex
    knn: Knn
    encoder: SessionEncoder
    item_vectors: Floats  # (I, E)
    fusion: Fusion  # the plain mix
    next_item: NextItem
    now_days: float
    run: TrainingRun
    choices: dict[str, float] = field(default_factory=dict)  # candidate -> its criterion on the tail
    cpu_seconds: float = 0.0
    questions: Questions | None = None

    def neighbours(self, visit: Rows) -> tuple[Rows, Floats]:
        """The list of session-kNN after the items of a visit (L,): rows and scores, (K,) each."""
        return knn_list(self.index, visit, self.knn, now_days=self.now_days)

    def answers(self, prefixes: Prefixes) -> dict[str, Answers]:
        """The lists of the two members, of their plain mix and of the network over them, by name."""
        neural = encoded(self.encoder, prefixes)
        knn = knn_answers(self.index, prefixes, self.knn, now_days=self.now_days)
        return {
            "session_encoder": neural.answers,
            "vstan": knn,
            "plain_fusion": fused(neural.answers, knn, self.fusion),
            "hybrid": ranked(self.next_item, prefixes, neural, knn, self.item_vectors),
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """The parts that the tail chose."""

    knn: Knn
    fusion: Fusion
    next_item: NextItem
    scores: dict[str, float] = field(default_factory=dict)
    questions: Questions | None = None


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
    now_days = float(days[-1]) if len(days) else 0.0
    facts = count_facts(sequences, days, count_items=count_items, now_days=now_days)
    if is_chosen:
        choice = choose(head, days[: len(head)], encoder, tail, settings, report=report)
        report(f"chosen on {len(tail)} prefixes of the tail: {choice.knn}, {choice.fusion}")
        encoder = _renewed(encoder, sequences, settings, report)
    else:
        fusion = FUSION_CHOICES[0]
        choice = Choice(settings.knn_choices[0], fusion, plain(facts, fusion, settings.encoder.temperature))
    return SessionModel(
        index=build_index(sequences.offsets, sequences.items, days, count_items=count_items),
        knn=choice.knn,
        encoder=encoder,
        item_vectors=vectors_of(encoder),
        fusion=choice.fusion,
        next_item=with_facts(choice.next_item, facts),
        now_days=now_days,
        run=run,
        choices=choice.scores,
        cpu_seconds=time.process_time() - started,
        questions=choice.questions if settings.keeps_questions else None,
    )


def choose(
    head: Sequences,
    days: Doubles,
    encoder: SessionEncoder,
    tail: Prefixes,
    settings: SessionModelSettings,
    *,
    report: Report = lambda line: None,
) -> Choice:
    """The best kNN, then the best mix of it with the encoder, then the network over both.

    The sequences of `head` ended on `days` (S,), and `tail` comes after them.
    """
    count_items, now_days = encoder.items.num_embeddings, float(days[-1])
    index = build_index(head.offsets, head.items, days, count_items=count_items)
    sample = tail.take(_spread(len(tail), KNN_PREFIXES))
    knn_scores = {
        knn: _criterion(knn_answers(index, sample, knn, now_days=now_days), sample) for knn in settings.knn_choices
    }
    knn = max(settings.knn_choices, key=knn_scores.__getitem__)
    lists = knn_answers(index, tail, knn, now_days=now_days)
    neural = encoded(encoder, tail)
    fusion_scores = {fusion: _criterion(fused(neural.answers, lists, fusion), tail) for fusion in FUSION_CHOICES}
    fusion = max(FUSION_CHOICES, key=fusion_scores.__getitem__)
    facts = count_facts(head, days, count_items=count_items, now_days=now_days)
    start = plain(facts, fusion, encoder.settings.temperature)
    next_item, network_scores, collected = _network(
        start, tail, neural, lists, vectors_of(encoder), settings.fitting, report
    )
    choices = {str(choice): score for choice, score in (*knn_scores.items(), *fusion_scores.items())}
    scores = {**choices, "session_encoder": _criterion(neural.answers, tail), **network_scores}
    return Choice(knn, fusion, next_item, scores, collected)


def _network(
    start: NextItem,
    tail: Prefixes,
    neural: Encoded,
    lists: Answers,
    item_vectors: Floats,
    settings: FittingSettings,
    report: Report,
) -> tuple[NextItem, dict[str, float], Questions]:
    """The network, fitted on all of the tail if it beat the mix on the unseen part of it; else the mix."""
    is_fit = _of_some_sessions(tail, 1.0 - settings.check_share, settings.seed)
    fit, check = np.flatnonzero(is_fit), np.flatnonzero(~is_fit)
    parts = {
        name: (tail.take(chosen), neural.take(chosen), lists.take(chosen))
        for name, chosen in (("fit", fit), ("check", check))
    }
    collected = {
        name: collect_questions(start.facts, questions(start, *part, item_vectors)) for name, part in parts.items()
    }
    everything = collected["fit"].and_also(collected["check"])
    trial = fit_network(start, collected["fit"], settings, report=report)
    both = {
        name: _criterion(ranked(model, *parts["check"], item_vectors), parts["check"][0])
        for name, model in (("plain mix, checked", start), ("network, checked", trial))
    }
    if len(check) < FEWEST or both["network, checked"] <= both["plain mix, checked"]:
        return start, both, everything
    return fit_network(start, everything, settings, report=report), both, everything


def _of_some_sessions(prefixes: Prefixes, share: float, seed: int) -> Flags:
    """(N,) whether a prefix belongs to the randomly drawn sessions."""
    sessions, place = np.unique(prefixes.starts, return_inverse=True)
    drawn: Flags = np.random.default_rng(seed).random(len(sessions)) < share
    return drawn[place]


def _tail_prefixes(sequences: Sequences, head: Sequences, count_items: int, *, most: int) -> Prefixes:
    """At most `most` questions from the sessions after `head`, of items that `head` knows."""
    is_known = np.bincount(head.items, minlength=count_items) > 0
    tail = sequences.part(len(head), len(sequences))
    items = np.where(is_known[tail.items], tail.items, -1).astype(np.int32)
    prefixes = all_prefixes(tail.offsets, items)
    return prefixes.take(_spread(len(prefixes), most))


def _spread(count: int, most: int) -> np.ndarray:
    """At most `most` numbers below `count`, evenly spread."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def _criterion(answers: Answers, prefixes: Prefixes) -> float:
    """The criterion of every choice: the geometric mean of hit rate and reciprocal rank."""
    if not len(prefixes):
        return 0.0
    found = next_item_metrics(answers, prefixes.targets)
    return float(np.sqrt(found["hr@20"].mean() * found["mrr@20"].mean()))


def _renewed(
    encoder: SessionEncoder, sequences: Sequences, settings: SessionModelSettings, report: Report
) -> SessionEncoder:
    """The encoder after it has seen the tail too."""
    if settings.refit:
        anew = new_encoder(encoder.items.num_embeddings, settings.encoder, seed=settings.training.seed)
        train_encoder(anew, sequences, settings.training, on_step=_steps(report))
        return anew
    start = int(len(sequences) * (1.0 - FINISH_SHARE))
    rate = settings.training.peak_rate * FINISH_RATE
    further = replace(settings.training, epochs=FINISH_EPOCHS, seconds=0.0, peak_rate=rate)
    train_encoder(encoder, sequences.part(start, len(sequences)), further)
    return encoder


def _steps(report: Report) -> Callable[[int, int, float], None]:
    def on_step(step: int, steps: int, loss: float) -> None:
        if step % 500 == 0 or step == steps:
            report(f"encoder step {step} of {steps}, loss {loss:.3f}")

    return on_step
