"""Simulated shoppers as values: tastes, looking down a list, calibration, and who comes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recommender.domain.experiments.running.assignment import is_held_out
from recommender.domain.experiments.running.config import default_config
from recommender.domain.models.arrays import Doubles

from local.shoppers.clicks import CONTINUES, Blind, ByTaste, click_chance, eagerness_for, look
from local.shoppers.crowd import STRANGERS
from local.shoppers.visit import INTENT, Taste, attraction, draw_taste
from tests.local.shops import HOUSEHOLDS, SHOP, crowd

CHANCES = arrays(float, st.integers(1, 6), elements=st.floats(0, 1))


def test_shares_are_those_of_the_orders() -> None:
    assert SHOP.categories == ("Food > bread", "Food > milk", "Food > tea")
    assert SHOP.category_share.tolist() == [0.1, 0.8, 0.1]  # 1, 8 and 1 of 10 orders
    assert SHOP.brand_share.tolist() == [0.1, 0.9]  # sorted: "other", "own"
    assert SHOP.bought[1] == ("milk1",)
    assert (SHOP.price("tea0"), SHOP.price("newer than the bundle")) == (2.5, 0.0)


def test_a_household_wants_what_it_has_bought_and_a_stranger_what_everybody_buys() -> None:
    rng = np.random.default_rng(1)

    household, stranger = draw_taste(SHOP, HOUSEHOLDS[0].orders, rng), draw_taste(SHOP, {}, rng)

    assert household.categories.argmax() == 2
    assert stranger.categories.argmax() == 1
    assert [taste.categories.sum() for taste in (household, stranger)] == pytest.approx([1, 1])


def test_attraction_is_the_share_of_the_category_and_the_visits_intent_by_the_share_of_the_brand() -> None:
    taste = Taste(np.array([0.5, 0.3, 0.2]), np.array([0.25, 0.75]))

    wanted = attraction(SHOP, taste, 2, ["bread0", "milk1", "tea2", "unknown"])

    assert wanted.tolist() == pytest.approx([0.5 * 0.25, 0.3 * 0.75, (0.2 + INTENT) * 0.75, 0.0])


@given(chances=CHANCES)
def test_the_chance_of_a_click_follows_from_the_chances_down_the_list(chances: Doubles) -> None:
    expected, reached = 0.0, 1.0
    for chance in chances:
        expected += reached * chance
        reached *= CONTINUES * (1 - chance)

    assert click_chance(chances) == pytest.approx(expected)
    assert 0 <= click_chance(chances) <= 1 + 1e-12


def test_the_same_item_is_clicked_less_further_down() -> None:
    rng, chances = np.random.default_rng(3), np.full(6, 0.2)

    clicked = np.bincount([found.clicked for _ in range(20_000) if (found := look(chances, rng)).clicked is not None])

    reached = (CONTINUES * 0.8) ** np.arange(6)  # examined, and nothing above was clicked
    assert clicked == pytest.approx(20_000 * 0.2 * reached, rel=0.1)


@given(chances=CHANCES, seed=st.integers(0, 100))
def test_what_was_clicked_was_seen_and_nothing_below_it(chances: Doubles, seed: int) -> None:
    found = look(chances, np.random.default_rng(seed))

    assert 1 <= found.count_seen <= len(chances)
    assert found.clicked is None or found.count_seen == found.clicked + 1


@settings(max_examples=25)
@given(
    lists=st.lists(arrays(float, 4, elements=st.floats(0.01, 1)), min_size=1, max_size=5), share=st.floats(0.01, 0.3)
)
def test_calibrated_shoppers_click_the_share_they_are_calibrated_to(lists: list[Doubles], share: float) -> None:
    clicking = ByTaste(eagerness_for(share, lists))

    assert np.mean([click_chance(clicking.chances(wanted)) for wanted in lists]) == pytest.approx(share, rel=1e-6)


def test_a_share_that_no_eagerness_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at most"):
        eagerness_for(0.5, [np.array([1.0]), *[np.zeros(1)] * 3])


@given(wanted=arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_blind_shoppers_click_any_list_alike(wanted: Doubles) -> None:
    assert click_chance(Blind(0.018).chances(wanted)) == pytest.approx(0.018)


def test_28_percent_of_the_sessions_are_of_strangers() -> None:
    shoppers = [crowd().shopper(number)[0] for number in range(4000)]

    assert np.mean([shopper.user_id is None for shopper in shoppers]) == pytest.approx(STRANGERS, abs=0.02)


def test_the_same_seed_sends_the_same_shoppers_in_sessions_of_their_own() -> None:
    first, again, other = crowd().shopper(5)[0], crowd(run="q").shopper(5)[0], crowd(seed=2).shopper(5)[0]

    assert (first.visitor_id, first.intent) == (again.visitor_id, again.intent)
    assert first.session_id != again.session_id
    assert first.visitor_id != other.visitor_id


def test_a_household_comes_back_as_the_same_visitor_with_the_same_taste() -> None:
    visits = [shopper for n in range(40) if (shopper := crowd().shopper(n)[0]).user_id == "7"]

    assert len(visits) > 5
    assert len({visit.visitor_id for visit in visits}) == 1
    assert len({visit.taste.categories.tobytes() for visit in visits}) == 1


def test_held_out_shoppers_have_names_that_the_hold_out_holds() -> None:
    config = default_config(datetime(2026, 11, 23, tzinfo=UTC))

    assert all(is_held_out(config, shopper.visitor_id) for shopper, _ in islice(crowd().held_out(config), 20))
