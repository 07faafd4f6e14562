"""Fusion by rank and by share, with its tie rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.models.search import Fusion, RankedList, fuse

EMPTY: RankedList = (np.empty(0, np.int32), np.empty(0, np.float32))


def listed(*rows: int) -> RankedList:
    return np.array(rows, np.int32), np.linspace(1.0, 0.1, len(rows)).astype(np.float32)


def test_reciprocal_ranks_are_added() -> None:
    rows, scores = fuse([listed(7, 3), listed(3, 5)], Fusion("rank", (0.5, 0.5)), limit=10)

    assert rows.tolist() == [3, 7, 5]
    assert scores == pytest.approx([0.5 / 62 + 0.5 / 61, 0.5 / 61, 0.5 / 62])


def test_equal_scores_go_to_the_first_list_then_to_the_lower_row() -> None:
    rows, scores = fuse([listed(9), listed(2)], Fusion("rank", (0.5, 0.5)), limit=10)

    assert scores[0] == scores[1]
    assert rows.tolist() == [9, 2]


def test_shares_are_mixed_by_weight() -> None:
    first = np.array([1, 2]), np.array([3.0, 1.0])
    second = np.array([2]), np.array([8.0])

    rows, scores = fuse([first, second], Fusion("share", (0.4, 0.6)), limit=10)

    assert rows.tolist() == [2, 1]
    assert scores == pytest.approx([0.4 * 1 / 4 + 0.6, 0.4 * 3 / 4])


def test_a_list_without_weight_adds_no_item_and_an_empty_one_no_error() -> None:
    rows, _ = fuse([listed(1, 2), listed(8)], Fusion("rank", (1.0, 0.0)), limit=10)
    alone, _ = fuse([EMPTY, listed(8)], Fusion("share", (0.5, 0.5)), limit=10)
    nothing, _ = fuse([EMPTY, EMPTY], Fusion("rank", (0.5, 0.5)), limit=10)

    assert rows.tolist() == [1, 2]
    assert alone.tolist() == [8]
    assert nothing.tolist() == []


rankings = st.lists(st.integers(0, 30), unique=True, max_size=12)


@given(rankings, rankings, st.sampled_from(["rank", "share"]))
def test_an_item_first_in_all_lists_is_first(one: list[int], other: list[int], by: str) -> None:
    best = 99
    fusion = Fusion(by, (0.3, 0.7))  # type: ignore[arg-type]

    rows, scores = fuse([listed(best, *one), listed(best, *other)], fusion, limit=50)

    assert rows[0] == best
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(scores) <= 1e-9).all()
