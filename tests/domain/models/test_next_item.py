"""The next-item network: what its features say, that it can be the plain mix, and that no visit breaks it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.models.arrays import from_npz, to_npz
from recommender.domain.models.next_item import NextItem, next_items
from recommender.domain.models.next_item_features import FEATURES
from recommender.domain.models.search import Fusion, fuse

from tests.domain.models.networks import COUNT, NOBODY, SESSIONS, network, vectors, visits


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
