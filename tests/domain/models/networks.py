"""A network that is the plain mix, and the features it reads of a visit, by name and row."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from recommender.domain.models.arrays import Floats
from recommender.domain.models.next_item import NextItem, question_of
from recommender.domain.models.next_item_features import FEATURES, ItemFacts, describe
from recommender.domain.models.search import Fusion

from training_jobs.next_item.fitting import plain

COUNT, WIDTH = 12, 4
SESSIONS = (np.array([3, 7, 1], np.int32), np.array([4.0, 2.0, 2.0], np.float32))
NOBODY = (np.empty(0, np.int32), np.empty(0, np.float32))
EVEN = Fusion("share", (0.5, 0.5))
visits = st.lists(st.integers(-1, COUNT - 1), max_size=90)


def vectors(count: int = COUNT) -> Floats:
    drawn = np.random.default_rng(2).normal(size=(count, WIDTH))
    unit: Floats = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def network(fusion: Fusion = EVEN, count: int = COUNT) -> NextItem:
    flat = np.zeros(count, np.float32)
    return plain(ItemFacts(flat, flat, flat), fusion, 0.1)


def described(visit: list[int]) -> dict[str, dict[int, float]]:
    """feature -> row -> value."""
    model = network()
    nearest = np.array([5, 3], np.int32)
    question = question_of(model, np.array(visit), vectors()[5], vectors(), nearest, SESSIONS)
    assert question is not None
    table = describe(model.facts, question)
    return {
        name: dict(zip(question.rows.tolist(), line.tolist(), strict=True))
        for name, line in zip(FEATURES, table, strict=True)
    }
