"""What the user tower is sent: the history in its order, weighted, and cut to the heaviest items."""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.serving.visitor import TOWER_HALF_LIFE_DAYS, TOWER_ITEMS, Owned, tower_input


def _owned(rows: list[int], orders: list[float], last_on: list[float]) -> Owned:
    counts, days = np.array(orders), np.array(last_on)
    return Owned(np.array(rows, np.int32), counts, days, days, counts)


def test_the_item_bought_last_comes_last_and_equal_times_go_by_row() -> None:
    rows, weights = tower_input(_owned([1, 4, 6, 9], [1, 2, 1, 3], [20.0, 10.0, 20.0, 5.0]), now_days=20.0)

    assert rows.tolist() == [9, 4, 1, 6]
    expected = [np.log(4) * 0.5 ** (15 / 150), np.log(3) * 0.5 ** (10 / 150), np.log(2), np.log(2)]
    assert weights == pytest.approx(expected) and TOWER_HALF_LIFE_DAYS == 150.0


def test_of_a_long_history_the_heaviest_items_are_sent_in_their_order() -> None:
    count = TOWER_ITEMS + 44
    orders = [2.0 if n % 2 else 1.0 for n in range(count)]

    rows, weights = tower_input(_owned(list(range(count)), orders, [float(-n) for n in range(count)]), now_days=0.0)

    assert len(rows) == TOWER_ITEMS and len(weights) == TOWER_ITEMS
    assert (np.diff(rows) < 0).all()  # the oldest is the one with the highest row here
    assert set(range(1, 200, 2)) <= set(rows.tolist())  # bought twice and lately


def test_nothing_owned_is_nothing_sent() -> None:
    rows, weights = tower_input(_owned([], [], []), now_days=0.0)

    assert not len(rows) and not len(weights)
