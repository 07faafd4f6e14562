"""Fitting the next-item network: it learns what the mix cannot know, and facts are counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from recommender.domain.models.next_item import NextItem, next_items, question_of
from recommender.domain.models.next_item_features import ItemFacts, Question
from recommender.domain.models.search import Fusion

from training_jobs.next_item.encoder_training import Sequences
from training_jobs.next_item.fitting import (
    FittingSettings,
    Questions,
    collect_questions,
    count_facts,
    fit_network,
    plain,
)
from training_jobs.onnx_models import TrainingFailed

COUNT = 30
VECTORS = np.eye(COUNT, dtype=np.float32)
NOBODY = (np.empty(0, np.int32), np.empty(0, np.float32))


def start() -> NextItem:
    flat = np.zeros(COUNT, np.float32)
    return plain(ItemFacts(flat, flat, flat), Fusion("share", (0.5, 0.5)), 0.1)


def asked(count: int) -> Iterator[tuple[Question, int]]:
    """Visits of three items that return to the first one; the encoder says nothing about it."""
    rng = np.random.default_rng(3)
    for _ in range(count):
        visit = rng.choice(COUNT, 3, replace=False)
        nearest = rng.choice(COUNT, 8, replace=False).astype(np.int32)
        question = question_of(start(), visit, VECTORS[visit[-1]], VECTORS, nearest, NOBODY)
        assert question is not None
        yield question, int(visit[0])


def test_it_learns_where_the_next_item_stands_in_the_visit() -> None:
    torch.set_num_threads(1)
    settings = FittingSettings(epochs=10, batch=32)

    learnt = fit_network(start(), collect_questions(start().facts, asked(400)), settings)

    rows, shares = next_items(
        learnt,
        np.array([4, 9, 20]),
        session_vec=VECTORS[20],
        item_vectors=VECTORS,
        nearest=np.array([1, 2, 3], np.int32),
        sessions=NOBODY,
    )
    assert rows[0] == 4
    assert shares[0] > 0.8


def test_the_same_seed_fits_the_same_network() -> None:
    questions = collect_questions(start().facts, asked(220))
    settings = FittingSettings(epochs=1, seed=5)

    first, second = (fit_network(start(), questions, settings) for _ in range(2))

    assert np.array_equal(first.hidden_1, second.hidden_1)


def test_few_questions_or_none_leave_the_mix() -> None:
    nothing = collect_questions(start().facts, [])
    few = collect_questions(start().facts, asked(50))

    for questions in (nothing, few, nothing.and_also(few)):
        assert len(fit_network(start(), questions, FittingSettings()).out) == 0


def test_a_feature_that_is_not_a_number_stops_the_fit() -> None:
    questions = collect_questions(start().facts, asked(220))
    broken = Questions(questions.features * np.float32(np.nan), questions.is_target, questions.offsets)

    with pytest.raises(TrainingFailed, match="next-item step 1"):
        fit_network(start(), broken, FittingSettings(epochs=1))


def test_facts_are_counts() -> None:
    sequences = Sequences(np.array([0, 3, 5], np.int64), np.array([0, 0, 1, 2, 1], np.int32))

    facts = count_facts(sequences, np.array([0.0, 60.0]), count_items=4, now_days=60.0)

    assert np.exp(facts.log_share) == pytest.approx(np.array([2.5, 2.5, 1.5, 0.5]) / 7.0)
    assert facts.trend[2] > 0.0 > facts.trend[0]  # item 2 is of today, item 0 of two months ago
    assert facts.repeat_log_odds.argmax() == 0


def test_facts_of_no_clicks_at_all_are_flat() -> None:
    empty = Sequences(np.array([0], np.int64), np.empty(0, np.int32))

    facts = count_facts(empty, np.empty(0), count_items=3, now_days=0.0)

    assert np.isfinite([facts.log_share, facts.trend, facts.repeat_log_odds]).all()
    assert np.ptp(facts.log_share) == 0.0
