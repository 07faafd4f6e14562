"""First purchases: tastes are unit vectors of what is read, lifts are bounded, complements are sold together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.models.discovery import (
    HALF_LIFE_DAYS,
    HIGHEST,
    LOWEST,
    Complements,
    Discovery,
    history_weights,
    log_lift,
    most_tried,
    taste,
    visit_lifts,
)

# Items 0 to 4; tastes are read by 1 and 3, slopes exist for 2 and 4.
DISCOVERY = Discovery(
    log_tried=np.log(np.array([0.5, 0.2, 0.1, 0.1, 0.1], np.float32)),
    log_first_share=np.zeros(5, np.float32),
    log_in_category=np.zeros(5, np.float32),
    read=np.array([1, 3], np.int32),
    readings=np.array([[3.0, 0.0], [0.0, 4.0]], np.float32),
    listed=np.array([2, 4], np.int32),
    slopes=np.array([[1.0, 0.0], [0.0, 100.0]], np.float32),
    offsets=np.array([0.0, 0.5], np.float32),
)
UP = np.array([0.0, 1.0], np.float32)
ALL = np.arange(5, dtype=np.int32)


def test_a_taste_is_the_weighted_direction_of_what_is_read() -> None:
    found = taste(DISCOVERY, np.array([0, 1, 3]), np.array([9.0, 4.0, 4.0]))

    assert found == pytest.approx([12 / 20, 16 / 20])  # (4 * 3, 4 * 4) at unit length; item 0 is not read


@pytest.mark.parametrize("rows", [[], [0, 2]])
def test_a_history_without_anything_that_is_read_has_no_taste(rows: list[int]) -> None:
    assert taste(DISCOVERY, np.array(rows, np.int32), np.ones(len(rows))) is None


def test_an_order_counts_half_after_the_half_life_and_never_more_for_the_future() -> None:
    today, past, ahead = history_weights(np.array([1, 1, 1]), np.array([0.0, -HALF_LIFE_DAYS, 5.0]), 0.0)

    assert (today, past, ahead) == pytest.approx((np.log(2), np.log(2) / 2, np.log(2)))


def test_the_lift_is_one_plus_slope_times_taste_within_bounds() -> None:
    lifts = log_lift(DISCOVERY, UP, ALL)

    assert lifts == pytest.approx([0, 0, np.log(1.0), 0, np.log(HIGHEST)])  # 1 + 0; 1 + 100.5 is cut
    assert log_lift(DISCOVERY, -UP, ALL)[4] == pytest.approx(np.log(LOWEST))
    assert log_lift(DISCOVERY, None, ALL).tolist() == [0.0] * 5


def test_the_most_tried_are_those_with_a_slope_at_their_own_rate_times_the_lift() -> None:
    rows, scores = most_tried(DISCOVERY, UP)

    assert rows.tolist() == [2, 4]
    assert scores == pytest.approx([np.log(0.1), np.log(0.1 * HIGHEST)])
    assert most_tried(DISCOVERY, None)[1] == pytest.approx([np.log(0.1)] * 2)


@given(st.lists(st.integers(-3, 8), max_size=6))
def test_rows_that_nothing_is_known_of_change_nothing(rows: list[int]) -> None:
    found = log_lift(DISCOVERY, UP, np.array(rows, np.int32))

    assert [bool(lift) for lift in found] == [row == 4 for row in rows]


# Categories 0 and 1 are sold enough; 2 is not.
PAIRS = Complements(np.array([0, 1, -1], np.int32), np.array([[0.0, 2.0], [1.0, 0.5]], np.float16))


def test_complements_are_weighted_and_the_best_is_kept() -> None:
    mean, best = visit_lifts(PAIRS, np.array([0, 1]), np.array([3.0, 1.0]), np.array([1, 0, 2]))

    assert mean == pytest.approx([(3 * 2.0 + 1 * 0.5) / 4, (3 * 0.0 + 1 * 1.0) / 4, 0])
    assert best == pytest.approx([2.0, 1.0, 0])


def test_categories_that_are_sold_too_little_weigh_but_lift_nothing() -> None:
    mean, best = visit_lifts(PAIRS, np.array([0, 2]), np.array([1.0, 1.0]), np.array([1]))

    assert (mean.tolist(), best.tolist()) == ([1.0], [2.0])  # 2.0 at half of the weight
    assert visit_lifts(PAIRS, np.array([2]), np.ones(1), np.array([1]))[1].tolist() == [0.0]
