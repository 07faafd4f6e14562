"""First purchases: what is counted, who is still to make one, and that tastes foresee what their likes try."""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.models.discovery import history_weights, log_lift, most_tried, taste

from training_jobs.counting.discovery import build_discovery
from training_jobs.counting.lines import Lines

ITEMS, SHOPPERS, DAYS = 24, 40, 200
CATEGORY = np.repeat(np.arange(4, dtype=np.int32), 6)  # four categories of six items
DEPARTMENT = CATEGORY // 2


def _lines(orders: list[tuple[float, int, int]]) -> Lines:
    """(day, shopper, item) as lines of an order each."""
    ordered = sorted(orders)
    days, shoppers, items = (
        (np.array(column) for column in zip(*ordered, strict=True)) if ordered else [np.empty(0)] * 3
    )
    return Lines(
        item=items.astype(np.int32),
        shopper=shoppers.astype(np.int32),
        order=np.arange(len(ordered), dtype=np.int32),
        days=days.astype(np.float64),
        shopper_ids=tuple(f"s{n:02d}" for n in range(SHOPPERS)) if ordered else (),
        count_orders=len(ordered),
    )


def _two_tastes() -> Lines:
    """Even shoppers try the items of categories 0 and 1, odd ones those of 2 and 3, one each ten days, in any order."""
    rng = np.random.default_rng(3)
    orders = []
    for shopper in range(SHOPPERS):
        own = rng.permutation(11) + 12 * (shopper % 2)
        orders += [(float(10 * n + rng.random()), shopper, int(item)) for n, item in enumerate(own)]
    return _lines(orders)


def test_a_taste_foresees_what_shoppers_like_it_try() -> None:
    lines = _two_tastes()
    discovery = build_discovery(lines, CATEGORY, DEPARTMENT, now_days=112.0)

    history = np.array([0, 1, 2, 3])
    vector = taste(discovery, history, history_weights(np.ones(4), np.full(4, 100.0), 112.0))
    rows = np.arange(ITEMS, dtype=np.int32)
    lifts = log_lift(discovery, vector, rows)

    assert vector is not None and np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    assert lifts[4:11].mean() > lifts[12:23].mean() + 0.3
    listed, scores = most_tried(discovery, vector)
    assert np.isin(listed[np.argsort(-scores)[:5]], np.arange(12)).all()


def test_who_owns_an_item_cannot_try_it() -> None:
    orders = [(float(s), s, 0) for s in range(30)] + [(100.0 + s / 100, s + 8, 0) for s in range(22, 30)]
    orders += [(100.0 + s / 100, s, 1) for s in range(8)]  # as many first purchases as of item 0, and fewer owners
    discovery = build_discovery(_lines(orders), CATEGORY, DEPARTMENT, now_days=101.0)

    assert discovery.log_tried[0] > discovery.log_tried[1]  # 8 of the 2 left, against 8 of 32


def test_an_arrival_is_granted_what_earlier_arrivals_of_its_category_were() -> None:
    orders = [(float(n % 90), n % SHOPPERS, 6) for n in range(60)]  # an old item of category 1
    orders += [(150.0 + n, n, 0) for n in range(20)]  # category 0 had an arrival that many tried
    discovery = build_discovery(_lines(orders), CATEGORY, DEPARTMENT, now_days=180.0)

    arrival_of_0, arrival_of_1, arrival_of_3 = discovery.log_tried[[1, 7, 18]]
    assert arrival_of_0 > arrival_of_1 > arrival_of_3  # the department of 1 is that of 0


@pytest.mark.parametrize("orders", [[], [(0.0, 0, 0)], [(0.0, 0, 0), (0.0, 1, 1)]])
def test_a_window_with_hardly_any_purchases_gives_finite_numbers(orders: list[tuple[float, int, int]]) -> None:
    discovery = build_discovery(_lines(orders), CATEGORY, DEPARTMENT, now_days=5.0)

    assert np.isfinite(discovery.log_tried).all() and np.isfinite(discovery.log_in_category).all()
    assert np.isfinite(discovery.slopes).all() and np.isfinite(discovery.offsets).all()
    assert taste(discovery, np.empty(0, np.int32), np.empty(0)) is None
    assert log_lift(discovery, None, np.arange(ITEMS, dtype=np.int32)).tolist() == [0.0] * ITEMS
