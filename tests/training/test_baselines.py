"""Baselines on a shop that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.shop import UNTIL, shop
from training_jobs.baselines import IalsSettings, Matrix, ials, item_knn, matrix, own_frequency, popular, popular_recent
from training_jobs.counting.lines import Lines, days_since_epoch, read_lines

JAM, MILK, SOAP, TEA, WAX = range(5)  # rows: items sorted by id
ANN, BOB, CY = range(3)


@pytest.fixture
def lines() -> Lines:
    return read_lines(shop(), until=UNTIL)


@pytest.fixture
def entries(lines: Lines) -> Matrix:
    return matrix(lines, count_items=5, now_days=days_since_epoch(UNTIL))


def test_popular_counts_shoppers_and_not_orders(entries: Matrix) -> None:
    assert popular(entries)(ANN).tolist() == [1, 2, 2, 2, 0]


def test_popular_recent_counts_the_orders_of_the_newest_weeks(lines: Lines, entries: Matrix) -> None:
    scores = popular_recent(lines, entries)(ANN)  # days 32 to 60: soap on day 40, milk and tea on day 50

    assert np.round(scores).tolist() == [0, 1, 1, 1, 0]


def test_own_frequency_ranks_own_orders_first_then_popularity(entries: Matrix) -> None:
    scores = own_frequency(entries)(ANN)

    assert np.argsort(-scores).tolist()[:3] == [TEA, JAM, MILK]  # 3 orders; 1 on day 30; 1 on day 0
    assert scores[SOAP] > scores[WAX]  # never bought by Ann, but by others


def test_own_frequency_of_a_stranger_is_popularity(entries: Matrix) -> None:
    assert np.argmin(own_frequency(entries)(-1)) == WAX


def _blocks(seed: int = 0) -> Matrix:
    """Forty shoppers of two tastes: items 0-9 and items 10-19."""
    rng = np.random.default_rng(seed)
    shopper = np.repeat(np.arange(40), 6).astype(np.int32)
    item = np.concatenate([rng.choice(10, 6, replace=False) + 10 * (s % 2) for s in range(40)]).astype(np.int32)
    made = Lines(item, shopper, shopper, np.full(len(item), 100.0), tuple(f"s{n:02d}" for n in range(40)), 40)
    return matrix(made, count_items=20, now_days=110.0)


def test_item_knn_scores_items_of_the_shoppers_own_taste_higher() -> None:
    score = item_knn(_blocks())

    assert score(0)[:10].min() > score(0)[10:].max() == 0.0
    assert score(1)[10:].min() > score(1)[:10].max() == 0.0


def test_ials_scores_items_of_the_shoppers_own_taste_higher() -> None:
    score = ials(_blocks(), IalsSettings(width=4, rounds=10))

    assert score(0)[:10].mean() > score(0)[10:].mean() + 0.5
    assert score(1)[10:].mean() > score(1)[:10].mean() + 0.5


def test_matrix_methods_know_nothing_of_a_stranger() -> None:
    assert not item_knn(_blocks())(-1).any()
    assert ials(_blocks(), IalsSettings(width=4))(-1).max() < 1e-3
