"""What follows from a bundle alone: rows and ids, the most popular, the items of a category and of a kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.tiny_bundle import CATEGORIES, COUNT, EACH, category_name, item_id, tiny_bundle

BUNDLE = tiny_bundle()


def test_rows_and_ids_are_each_others_inverse_in_any_order() -> None:
    rows = [COUNT - 1, 0, 17]

    assert BUNDLE.rows_of([BUNDLE.id_of(row) for row in rows]).tolist() == rows


@pytest.mark.parametrize("unknown", ["", "item", item_id(0, 0) + "\0", item_id(0, 0) + "-and-longer", "zzz", "é"])
def test_an_unknown_id_has_no_row(unknown: str) -> None:
    assert BUNDLE.rows_of([unknown, item_id(0, 1)]).tolist() == [-1, 1]


def test_no_ids_and_no_items_have_no_rows() -> None:
    empty = tiny_bundle(item_ids=np.empty(0, "S1"))

    assert BUNDLE.rows_of([]).tolist() == []
    assert empty.rows_of(["a"]).tolist() == [-1]


def test_the_most_popular_come_first_and_the_trend_changes_the_order() -> None:
    assert BUNDLE.popular.tolist() == list(range(COUNT))  # the prior falls with the row
    scores = BUNDLE.prior.log_share + BUNDLE.prior.trend
    assert (np.diff(scores[BUNDLE.trending]) <= 0).all()
    assert BUNDLE.trending.tolist() != BUNDLE.popular.tolist()


def test_equally_popular_items_are_ordered_by_row() -> None:
    flat = tiny_bundle(prior=replace(BUNDLE.prior, log_share=np.zeros(COUNT, np.float32)))

    assert flat.popular.tolist() == list(range(COUNT))


def test_shares_of_categories_sum_to_one() -> None:
    assert BUNDLE.category_share.shape == (CATEGORIES,)
    assert BUNDLE.category_share.sum() == pytest.approx(1.0, abs=1e-5)


def test_a_category_holds_its_items_and_those_below_it_and_no_namesake() -> None:
    department, aisle = category_name(3).split(" > ")

    assert BUNDLE.in_category(category_name(3)).tolist() == list(range(3 * EACH, 4 * EACH))
    below = {name for name in map(category_name, range(CATEGORIES)) if name.startswith(f"{department} > ")}
    assert {category_name(row // EACH) for row in BUNDLE.in_category(department).tolist()} == below
    assert BUNDLE.in_category(department[:-1]).tolist() == []  # "Dept" is no part of the path
    assert BUNDLE.in_category(aisle).tolist() == []


def test_of_a_kind_are_the_items_of_the_category_then_its_kin() -> None:
    found = BUNDLE.of_kind(3).tolist()

    assert found[:EACH] == list(range(3 * EACH, 4 * EACH))
    assert len(found) == len(set(found))
