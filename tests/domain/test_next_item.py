"""The next-item network: what its features say, that it can be the plain mix, and that no visit breaks it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.models.arrays import Floats, from_npz, to_npz
from recommender.domain.models.next_item import NextItem, next_items, question_of
from recommender.domain.models.next_item_features import FEATURES, NEVER, ItemFacts, describe
from recommender.domain.models.search import Fusion, fuse

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


def test_candidates_are_what_sources_list_and_what_the_visit_has() -> None:
    assert set(described([9, 2, -1, 9])["mixed"]) == {5, 3, 7, 1, 9, 2}


def test_the_visit_is_described_by_its_clicks() -> None:
    found = described([9, 2, 9, 6])  # the newest last

    assert found["clicks"][9] == pytest.approx(np.log1p(2))
    assert found["click_share"][9] == pytest.approx(2 / 4)
    assert found["since_last_click"][9] == pytest.approx(np.log1p(1))
    assert found["since_first_click"][9] == pytest.approx(np.log1p(3))
    assert found["between_clicks"][9] == pytest.approx(np.log1p(2))
    assert found["recency_rank"] == pytest.approx(
        {9: np.log1p(1), 2: np.log1p(2), 6: 0.0} | dict.fromkeys((1, 3, 5, 7), np.log1p(NEVER))
    )
    assert found["click_rank"][9] == 0.0  # the most clicked
    assert (found["is_last"][6], found["is_first"][9], found["in_visit"][3]) == (1.0, 1.0, 0.0)
    assert found["visit_distinct"][3] == pytest.approx(3 / 4)
    assert found["visit_since_repeat"][3] == pytest.approx(np.log1p(1))


def test_what_followed_the_last_item_earlier_is_told() -> None:
    found = described([9, 2, 9, 4, 9])

    assert (found["followed_last"][2], found["followed_last"][4], found["followed_last"][9]) == (1.0, 1.0, 0.0)


def test_sources_are_described_by_share_and_rank() -> None:
    found = described([9])

    assert found["sessions_share"][7] == pytest.approx(np.log(2 / 8), abs=1e-4)
    assert found["sessions_rank"][7] == pytest.approx(np.log1p(1))
    assert found["sessions_listed"][9] == 0.0
    assert found["encoder_gap"][5] == 0.0  # the session vector is the vector of item 5
    assert found["encoder_best"][3] == pytest.approx(1.0)


@pytest.mark.parametrize("fusion", [Fusion("share", (0.7, 0.3)), Fusion("rank", (0.5, 0.5))])
def test_without_learning_it_is_the_plain_mix(fusion: Fusion) -> None:
    everything = vectors()
    cosine = everything @ everything[4]
    nearest = np.argsort(-cosine).astype(np.int32)  # the encoder lists the whole catalogue
    shares = np.exp((cosine[nearest] - 1.0) / 0.1)

    rows, _ = next_items(
        network(fusion),
        np.array([4]),
        session_vec=everything[4],
        item_vectors=everything,
        nearest=nearest,
        sessions=SESSIONS,
    )

    expected, _ = fuse([(nearest, shares), SESSIONS], fusion, limit=COUNT)
    assert rows.tolist()[:6] == expected.tolist()[:6]


@settings(deadline=None, max_examples=60)
@given(visits, st.booleans())
def test_any_visit_gets_distinct_rows_and_falling_shares(visit: list[int], has_sessions: bool) -> None:
    rows, shares = next_items(
        network(),
        np.array(visit, np.int64),
        session_vec=vectors()[0],
        item_vectors=vectors(),
        nearest=np.array([0, 1], np.int32),
        sessions=SESSIONS if has_sessions else NOBODY,
    )

    known = {row for row in visit[-30:] if row >= 0}
    assert (len(rows) == 0) == all(row < 0 for row in visit)
    assert len(set(rows.tolist())) == len(rows)
    assert not len(rows) or known <= set(rows.tolist())
    assert np.isfinite(shares).all() and (np.diff(shares) <= 0).all() and shares.sum() <= 1.0 + 1e-5


def test_one_item_a_thousand_times_and_a_catalogue_of_one() -> None:
    rows, shares = next_items(
        network(count=1),
        np.zeros(1000, np.int64),
        session_vec=vectors(1)[0],
        item_vectors=vectors(1),
        nearest=np.zeros(1, np.int32),
        sessions=NOBODY,
    )

    assert rows.tolist() == [0]
    assert shares == pytest.approx([1.0])


def test_features_stay_within_what_training_saw() -> None:
    model = replace(network(), low=np.zeros(len(FEATURES), np.float32), high=np.zeros(len(FEATURES), np.float32))

    _, shares = next_items(
        model,
        np.array([9, 2]),
        session_vec=vectors()[0],
        item_vectors=vectors(),
        nearest=np.array([5], np.int32),
        sessions=NOBODY,
    )

    assert shares == pytest.approx([1 / 3] * 3)  # all features held at 0: all candidates alike


def test_the_file_gives_back_what_was_written() -> None:
    model = network()

    read = from_npz(NextItem, to_npz(model))

    assert (read.encoder_weight, read.by_rank, read.temperature) == (0.5, False, 0.1)
    assert np.array_equal(read.skip, model.skip)
