"""The walk that fills a list: nothing twice on the page, not the same thing over and over, never short without need.

Margin is traded within a bound that holds for the list as it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.placements import DEFAULT, Placement
from recommender.domain.serving.selection import Shown, category_cap, trade, walk

ROWS = [10, 11, 12, 13, 14, 15]
PLAIN = Placement("plain", "Plain", "home", 6, "click")


def fill(
    *, groups: str = "abcdef", categories: str = "uuuvvw", limit: int = 3, cap: int = 9, shown: Shown
) -> list[int]:
    return walk(
        range(6),
        rows=ROWS,
        groups=[ord(letter) for letter in groups],
        categories=[ord(letter) for letter in categories],
        shown=shown,
        limit=limit,
        cap=cap,
    )


def test_the_best_come_first() -> None:
    assert fill(shown=Shown()) == [0, 1, 2]


def test_what_stands_on_the_page_is_not_taken_again_nor_are_its_variants() -> None:
    shown = Shown()
    shown.add(10, ord("b"))

    assert fill(shown=shown) == [2, 3, 4]


def test_two_variants_of_one_product_do_not_stand_in_one_list() -> None:
    assert fill(groups="aabcde", shown=Shown()) == [0, 2, 3]


def test_a_category_takes_only_its_share() -> None:
    assert fill(cap=1, shown=Shown()) == [0, 3, 5]


def test_what_was_passed_over_comes_back_before_the_list_stays_short() -> None:
    assert fill(cap=1, limit=5, shown=Shown()) == [0, 3, 5, 1, 2]
    assert fill(groups="aaaaaa", shown=Shown()) == [0, 1, 2]


def test_an_item_of_the_page_never_comes_back() -> None:
    shown = Shown()
    for row in ROWS[:4]:
        shown.add(row, ord("z"))

    assert fill(shown=shown) == [4, 5]


def test_the_page_is_left_as_it_is() -> None:
    shown = Shown()
    fill(shown=shown)

    assert shown == Shown()


def test_lists_about_a_category_are_not_spread_over_others() -> None:
    by_id = {placement.placement_id: placement for placement in DEFAULT}

    assert category_cap(by_id["category_top"], 8) == category_cap(by_id["pdp_similar"], 8) == 8
    assert [category_cap(PLAIN, limit) for limit in (4, 6, 9)] == [2, 2, 3]
    assert category_cap(replace(PLAIN, sources={"trending": 2.0}), 12) == 4


def first(count: int, order: Sequence[int]) -> list[int]:
    return list(order)[:count]


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_small_loss_of_relevance_buys_a_large_margin() -> None:
    relevance, cents = floats(1.0, 0.9, 0.85, 0.2), floats(10, 10, 500, 900)

    chosen = trade([0, 1, 2, 3], relevance, cents, lambda order: first(2, order), max_loss=0.1)

    assert sorted(chosen) == [0, 2]  # 1.0 + 0.85 >= 0.9 * (1.0 + 0.9), and 0.85 * 500 beats 0.9 * 10
    assert 3 not in chosen  # 900 cents, but too little relevance


def test_without_an_allowance_or_without_any_margin_relevance_decides() -> None:
    relevance, cents = floats(1.0, 0.9, 0.85), floats(10, 10, 500)

    assert trade([0, 1, 2], relevance, cents, lambda order: first(2, order), max_loss=0.0) == [0, 1]
    assert trade([0, 1, 2], relevance, floats(0, 0, 0), lambda order: first(2, order), max_loss=0.5) == [0, 1]


def test_positions_are_those_of_the_pool() -> None:
    chosen = trade([40, 7], floats(0.9, 0.89), floats(1, 100), lambda order: first(1, order), max_loss=0.2)

    assert chosen == [7]


def test_an_empty_pool_gives_an_empty_list() -> None:
    assert trade([], floats(), floats(), lambda order: first(3, order), max_loss=0.1) == []


candidates = st.lists(st.tuples(st.floats(2**-10, 1, width=32), st.floats(0, 5000, width=32)), min_size=1, max_size=40)


@given(candidates, st.integers(1, 10), st.floats(0, 0.9), st.integers(1, 4))
def test_the_bound_holds_and_expected_margin_never_falls(
    found: list[tuple[float, float]], limit: int, max_loss: float, groups: int
) -> None:
    """Also for a list that is filled with a rule of its own: here, at most two of each group."""
    found = sorted(found, reverse=True)
    relevance, cents = floats(*(pair[0] for pair in found)), floats(*(pair[1] for pair in found))

    def choose(order: Sequence[int]) -> list[int]:
        taken: list[int] = []
        for position in order:
            if len(taken) < limit and sum(position % groups == other % groups for other in taken) < 2:
                taken.append(position)
        return taken

    best = choose(range(len(found)))
    chosen = trade(list(range(len(found))), relevance, cents, choose, max_loss=max_loss)

    assert len(chosen) == len(best) == len(set(chosen))
    assert relevance[chosen].sum() >= (1 - max_loss) * relevance[best].sum() - 1e-5
    assert (relevance * cents)[chosen].sum() >= (relevance * cents)[best].sum() * (1 - 1e-5)
