"""The hybrid of the sequences benchmark, one small linear model over the members' scores, and the answers of the peers.

    P(item) = softmax over candidates of w . f(item), fitted by damped Newton steps on the validation's questions

Candidates are the heads of the members' lists; f holds each member's score in two forms (as it is, and as a log share
of the best), standardised. Letters: Q questions, N candidates of all questions, B of a batch, F features, I items, K
length of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles, Floats

from benchmarks.peers import bridge
from benchmarks.peers.exchange import Ragged, Split, nothing, ragged
from benchmarks.sequences.data import Histories, Questions, SequenceData
from benchmarks.sequences.models import Answers, Scorer, batches, head
from training_jobs.metrics import LISTED, target_ranks

CANDIDATES = 150  # of each member
FLOOR = 0.01  # share of the best score below which shares count as equal
RIDGE = 1.0
NEWTON_STEPS = 20
SMALLEST_STEP = 1e-4
BEHIND = -1e6  # score of the other items; the first member orders them
Answered = dict[str, dict[str, Answers]]  # method -> stratum -> answers


@dataclass(frozen=True, slots=True)
class Fusion:
    """Weights of the standardised features."""

    weights: Doubles  # (F,)
    mean: Doubles  # (F,)
    spread: Doubles  # (F,)

    def score(self, features: Doubles) -> Doubles:
        """(..., F) -> (...)."""
        scored: Doubles = ((features - self.mean) / self.spread) @ self.weights
        return scored


@dataclass(frozen=True, slots=True)
class Cases:
    """The candidates of Q questions, one after the other."""

    features: Floats  # (N, F) standardised
    starts: NDArray[np.int64]  # (Q,) where each question's candidates begin
    wanted: NDArray[np.int64]  # (Q,) where its target stands

    def log_likelihood(self, weights: Doubles) -> tuple[float, Doubles]:
        """The targets' log likelihood, with the ridge, and each candidate's probability (N,)."""
        sizes = np.diff(np.append(self.starts, len(self.features)))
        logits = self.features @ weights
        logits -= np.repeat(np.maximum.reduceat(logits, self.starts), sizes)
        share = np.exp(logits)
        total = np.add.reduceat(share, self.starts)
        value = float((logits[self.wanted] - np.log(total)).sum()) - RIDGE * float(weights @ weights) / 2.0
        return value, share / np.repeat(total, sizes)

    def newton_step(self, weights: Doubles, share: Doubles) -> Doubles:
        """(F,) where a quadratic through the likelihood has its top."""
        weighted = self.features * share[:, None]
        expected = np.add.reduceat(weighted, self.starts)  # (Q, F)
        gradient = (self.features[self.wanted] - expected).sum(axis=0) - RIDGE * weights
        hessian = weighted.T @ self.features - expected.T @ expected + RIDGE * np.eye(len(weights))
        step: Doubles = np.linalg.solve(hessian, gradient)
        return step


def fit_fusion(members: Mapping[str, Scorer], questions: Questions, *, keeps_seen: bool) -> Fusion:
    """The most likely weights given the targets; questions whose target is no candidate are left out."""
    found = [case for case in _cases(members, questions, keeps_seen=keeps_seen) if len(case[0])]
    if not found:
        count = 2 * len(members)
        return Fusion(np.eye(1, count)[0], np.zeros(count), np.ones(count))  # the first member alone
    features, question, is_wanted = (np.concatenate(column) for column in zip(*found, strict=True))
    mean, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    starts = np.unique(question, return_index=True)[1]
    cases = Cases((features - mean) / spread, starts, np.flatnonzero(is_wanted))
    weights = np.zeros(len(mean))
    value, share = cases.log_likelihood(weights)
    for _ in range(NEWTON_STEPS):
        step = cases.newton_step(weights, share)
        tried, tried_share = cases.log_likelihood(weights + step)
        while tried < value and np.abs(step).max() > SMALLEST_STEP:
            step /= 2.0
            tried, tried_share = cases.log_likelihood(weights + step)
        if tried <= value + SMALLEST_STEP:
            break
        weights, value, share = weights + step, tried, tried_share
    return Fusion(weights, mean, spread)


def fused(members: Mapping[str, Scorer], fusion: Fusion, *, keeps_seen: bool) -> Scorer:
    """The hybrid over the whole catalogue: candidates by the fusion, everything else behind them."""

    def score(histories: Histories, users: NDArray[np.int64]) -> Doubles:
        scores = _all_scores(members, histories, users, keeps_seen)
        first = scores[0]
        total = np.where(np.isneginf(first), -np.inf, BEHIND + np.where(np.isneginf(first), 0.0, first))
        row, item = _candidates(scores)
        total[row, item] = fusion.score(_features(scores, row, item))
        return total

    return score


def _cases(
    members: Mapping[str, Scorer], questions: Questions, *, keeps_seen: bool
) -> Iterator[tuple[Doubles, NDArray[np.int64], NDArray[np.bool_]]]:
    """(features (N, F), question (N,), is it wanted (N,)) of the candidates of questions whose target is among them."""
    for part in batches(questions):
        scores = _all_scores(members, questions.histories, questions.users[part], keeps_seen)
        row, item = _candidates(scores)
        is_wanted = item == questions.targets[part][row]
        kept = np.isin(row, row[is_wanted])
        yield _features(scores, row[kept], item[kept]), row[kept] + part.start, is_wanted[kept]


def _all_scores(
    members: Mapping[str, Scorer], histories: Histories, users: NDArray[np.int64], keeps_seen: bool
) -> Doubles:
    """(members, B, I); -inf where an item may not be listed."""
    scores = np.stack([np.asarray(scorer(histories, users), np.float64) for scorer in members.values()])
    if not keeps_seen:
        for n, user in enumerate(users):
            scores[:, n, histories.of(int(user))] = -np.inf
    return scores


def _candidates(scores: Doubles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row of the batch, item) of everything that any member lists among its first, by row."""
    is_listed = np.zeros(scores.shape[1:], bool)
    for member in scores:
        np.put_along_axis(is_listed, head(member, CANDIDATES), True, axis=1)
    row, item = np.nonzero(is_listed & np.isfinite(scores[0]))
    return row, item


def _features(scores: Doubles, row: NDArray[np.int64], item: NDArray[np.int64]) -> Doubles:
    """(N, F) from (members, B, I): each member's scores, and the log of their shares of the row's best."""
    chosen = scores[:, row, item]  # (members, N)
    if not len(row):
        return np.zeros((0, 2 * len(scores)))
    _, starts, sizes = np.unique(row, return_index=True, return_counts=True)
    best = np.repeat(np.maximum.reduceat(chosen, starts, axis=1), sizes, axis=1)
    share = np.log(np.maximum(chosen / np.maximum(best, 1e-12), 0.0) + FLOOR)
    stacked: Doubles = np.concatenate([chosen, share]).T
    return stacked


def peer_answers(
    python: Path,
    data: SequenceData,
    *,
    keeps_seen: bool,
    methods: Sequence[str] = bridge.METHODS,
    kept: Path = bridge.KEPT,
) -> tuple[Answered, dict[str, Any]]:
    """Answers of every peer on every stratum, with its choices and cost; they train on the data of our refit."""
    train = Ragged(data.train_and_valid.offsets, data.train_and_valid.items)
    tail = bridge.last_events(train, count_items=data.count_items, listed=LISTED, excludes_history=not keeps_seen)
    histories = ragged([data.test.histories.of(int(user)) for user in data.test.users])
    free = nothing(len(histories))
    strata = {"all": free} if keeps_seen else {"all": histories, "seen_listed": free}
    answered: Answered = {method: {} for method in methods}
    facts: dict[str, Any] = {}
    count = len(histories)
    test = Split(data.count_items, LISTED, train, _joined([histories] * len(strata)), _joined(list(strata.values())))
    for method, found in bridge.fetch_lists(python, tail=tail, test=test, methods=methods, kept=kept).items():
        facts[method] = found.facts
        for place, stratum in enumerate(strata):
            part = slice(place * count, (place + 1) * count)
            answered[method][stratum] = _answers(found.rows[part], found.scores[part], data)
    return answered, facts


def _joined(parts: list[Ragged]) -> Ragged:
    return ragged([part.of(number) for part in parts for number in range(len(part))])


def _answers(rows: NDArray[np.int32], scores: Floats, data: SequenceData) -> Answers:
    """The ranks of the wanted items in lists (Q, K) with scores (Q, K); an unlisted one ranks behind the catalogue."""
    above, equal = target_ranks(rows, scores, data.test.targets, unlisted=data.count_items)
    return Answers(above.astype(np.int64), equal.astype(np.int64), rows.astype(np.int64))
