"""Complements: lifts between categories by hand, and a shop with hardly any orders."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.shop import UNTIL, shop
from training_jobs.counting.contexts import EVIDENCE, build_complements
from training_jobs.counting.lines import Lines, read_lines

DAIRY, DRINKS, BATH, SWEET, UNSOLD = range(5)
CATEGORY = np.array([SWEET, DAIRY, BATH, DRINKS, UNSOLD], np.int32)  # of jam, milk, soap, tea, wax


def test_a_lift_compares_orders_with_both_to_what_chance_would_give() -> None:
    found = build_complements(read_lines(shop(), until=UNTIL), CATEGORY, count_categories=5)

    def lift(a: int, b: int) -> float:
        return float(found.lifts[found.place[a], found.place[b]])

    # six orders: tea in o1 o2 o3 o4 o6, milk in o1 o2 o6, soap in o2 o5, jam in o4
    assert lift(DAIRY, DRINKS) == pytest.approx(np.log((3 + EVIDENCE) / (3 * 5 / 6 + EVIDENCE)), abs=1e-3)
    assert lift(BATH, SWEET) == pytest.approx(np.log((0 + EVIDENCE) / (2 * 1 / 6 + EVIDENCE)), abs=1e-3)
    assert lift(DRINKS, DRINKS) == pytest.approx(np.log((0 + EVIDENCE) / (5 * 5 / 6 + EVIDENCE)), abs=1e-3)
    assert found.place[UNSOLD] == -1 and (found.lifts == found.lifts.T).all()


def test_without_orders_there_are_no_lifts() -> None:
    empty = np.empty(0, np.int32)
    nothing = Lines(item=empty, shopper=empty, order=empty, days=np.empty(0), shopper_ids=(), count_orders=0)

    found = build_complements(nothing, CATEGORY, count_categories=5)

    assert found.lifts.shape == (0, 0) and (found.place == -1).all()
