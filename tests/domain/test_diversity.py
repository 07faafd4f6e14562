"""The walk that fills a list: nothing twice on the page, not the same thing over and over, never short without need."""

from __future__ import annotations

from dataclasses import replace

from recommender.contracts.placements import DEFAULT, Placement
from recommender.domain.serving.selection import Shown, category_cap, walk

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
