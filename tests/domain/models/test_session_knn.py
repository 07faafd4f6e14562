"""Session-kNN against its formula written out as loops, and the edges of the query."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.models.arrays import from_npz, to_npz
from recommender.domain.models.session_knn import KnnSettings, SessionIndex, build_index, session_scores

COUNT = 8
visits = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=6)


def index_of(sessions: list[list[int]], **changes: int) -> SessionIndex:
    offsets = np.concatenate([[0], np.cumsum([len(session) for session in sessions])])
    flat = np.array([row for session in sessions for row in session])
    return build_index(offsets, flat, np.arange(len(sessions), dtype=float), count_items=COUNT, **changes)


def by_the_formula(sessions: list[list[int]], visit: list[int], now: float, weigh: KnnSettings) -> dict[int, float]:
    """The module's docstring, word by word; all neighbours, each item of a session at its last click."""
    distinct = [list(dict.fromkeys(reversed(session)))[::-1] for session in sessions]
    length = len(visit)
    position = {row: place for place, row in enumerate(visit, start=1)}
    p = {row: math.exp((place - length) / weigh.position) for row, place in position.items()}
    votes: dict[int, float] = {}
    for day, session in enumerate(distinct):
        shared = [row for row in session if row in p]
        if not shared:
            continue
        cosine = sum(p[row] for row in shared) / (math.sqrt(sum(w * w for w in p.values())) * math.sqrt(len(session)))
        similarity = cosine * math.exp(-(now - day) / weigh.recency_days)
        nearest = max(session.index(row) for row in shared)
        newest = max(position[row] for row in shared)
        for place, row in enumerate(session):
            idf = math.log(len(sessions) / sum(row in other for other in distinct))
            votes[row] = votes.get(row, 0.0) + similarity * math.exp(-abs(place - nearest) / weigh.distance) * (
                1 + weigh.idf_weight * idf
            ) * math.exp((newest - length) / weigh.shared)
    return votes


@settings(deadline=None)
@given(st.lists(visits, min_size=1, max_size=12), visits)
def test_scores_are_the_formula(sessions: list[list[int]], visit: list[int]) -> None:
    weigh = KnnSettings(position=1.5, recency_days=20.0, distance=3.0, shared=4.0, idf_weight=2.0)

    rows, scores = session_scores(index_of(sessions), np.array(visit), now_days=len(sessions), settings=weigh)

    expected = by_the_formula(sessions, visit, len(sessions), weigh)
    assert dict(zip(rows.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected, rel=1e-4)


def test_best_first_and_ties_by_row() -> None:
    rows, scores = session_scores(
        index_of([[5, 0, 3]]), np.array([0]), now_days=1.0, settings=KnnSettings(idf_weight=0.0)
    )

    assert rows.tolist() == [0, 3, 5]
    assert scores[1] == scores[2]


def test_only_the_newest_sessions_are_sampled_and_the_nearest_kept() -> None:
    sessions = [[0, 1], [0, 2], [0, 3, 4, 5, 6]]

    newest, _ = session_scores(index_of(sessions), np.array([0]), now_days=3.0, sample=1)
    nearest, _ = session_scores(index_of(sessions), np.array([0]), now_days=3.0, k=1)

    assert set(newest.tolist()) == {0, 3, 4, 5, 6}
    assert set(nearest.tolist()) == {0, 2}  # two items, and newer than [0, 1]


def test_posting_lists_keep_the_newest() -> None:
    index = index_of([[0, 1], [0, 2], [0, 3]], postings_per_item=2)

    assert index.item_sessions[index.item_offsets[0] : index.item_offsets[1]].tolist() == [2, 1]


def test_unknown_items_are_passed_over_and_nothing_known_finds_nothing() -> None:
    index = index_of([[0, 1], [2, 3]])

    with_unknown, scores = session_scores(index, np.array([-1, 0, -1]), now_days=2.0)
    without, same = session_scores(index, np.array([0]), now_days=2.0)

    assert with_unknown.tolist() == without.tolist()
    assert scores == pytest.approx(same)
    for nothing in ([], [-1], [7]):
        rows, _ = session_scores(index, np.array(nothing, dtype=int), now_days=2.0)
        assert rows.tolist() == []


def test_limit_keeps_the_best() -> None:
    index = index_of([[0, 1, 2, 3], [0, 1]])
    all_rows, all_scores = session_scores(index, np.array([0]), now_days=2.0)

    rows, scores = session_scores(index, np.array([0]), now_days=2.0, limit=2)

    assert rows.tolist() == all_rows[:2].tolist()
    assert scores.tolist() == all_scores[:2].tolist()


def test_an_index_brings_its_own_settings_through_the_file() -> None:
    weigh = KnnSettings(position=9.0, idf_weight=0.0)
    index = from_npz(SessionIndex, to_npz(index_of([[0, 1, 2], [1, 3]]).with_settings(weigh)))

    _, own = session_scores(index, np.array([0, 1]), now_days=2.0)
    _, asked = session_scores(index_of([[0, 1, 2], [1, 3]]), np.array([0, 1]), now_days=2.0, settings=weigh)

    assert index.settings == weigh
    assert own == pytest.approx(asked)


def test_sessions_may_come_in_any_order_and_survive_the_file() -> None:
    offsets, flat = np.array([0, 2, 4]), np.array([0, 1, 0, 2])
    late_first = build_index(offsets, flat, np.array([9.0, 1.0]), count_items=3)

    read = from_npz(SessionIndex, to_npz(late_first))

    assert read.session_days.tolist() == [1.0, 9.0]
    assert read.session_items.tolist() == [0, 2, 0, 1]


def test_an_index_without_sessions_answers() -> None:
    empty = build_index(np.array([0]), np.empty(0, int), np.empty(0), count_items=3)

    rows, _ = session_scores(empty, np.array([1]), now_days=0.0)

    assert rows.tolist() == []
