"""One ranking fills up to twelve placements together: each by its own sources, under its own rules and policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.contracts.answers import Reason
from recommender.contracts.placements import DEFAULT, POLICIES, SOURCES, Placement
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.eligibility import current_stock
from recommender.domain.serving.page import FilledList, PageItem, Slot, assemble
from recommender.domain.serving.promises import Visit
from recommender.domain.serving.ranking import Ranked
from recommender.domain.serving.reasons import PROMISES
from recommender.domain.serving.visit import ANONYMOUS, PurchaseHistory, Session, Shopper

from tests.tiny_bundle import COUNT, tiny_bundle

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BUNDLE = tiny_bundle()
HOME = Visit(ANONYMOUS, Session("s"), PageContext("home", NOW))
PLAIN = Placement("home_hero", "Plain", "home", 4, "click")
Lists = list[tuple[PageItem, ...]]


def ranked(scores: dict[int, float], **strengths: dict[int, float]) -> Ranked:
    """A ranking of these rows; strengths by source and row."""
    rows = np.array(list(scores), np.int32)
    table = np.zeros((len(rows), len(SOURCES)), np.float32)
    for source, by_row in strengths.items():
        for row, strength in by_row.items():
            table[list(scores).index(row), SOURCES.index(source)] = strength
    return Ranked(rows, np.array(list(scores.values()), np.float32), table, "prior", 0.0)


def page(
    found: Ranked | None, *slots: Slot, visit: Visit = HOME, bundle: Bundle = BUNDLE, overrides: Any = None
) -> Lists:
    return [one.items for one in whole_page(found, *slots, visit=visit, bundle=bundle, overrides=overrides)]


def whole_page(
    found: Ranked | None, *slots: Slot, visit: Visit = HOME, bundle: Bundle = BUNDLE, overrides: Any = None
) -> list[FilledList]:
    return assemble(bundle, found, visit, slots, stock=current_stock(bundle, overrides or {}))


def rows(lists: Lists) -> list[list[int]]:
    return [[item.row for item in found] for found in lists]


def slot(limit: int, variant: str = "hybrid", **changes: Any) -> Slot:
    return Slot(replace(PLAIN, **changes), variant, limit)


# rows 12 apart lie in different categories
SCORES = {0: 0.5, 12: 0.4, 24: 0.3, 36: 0.2, 48: 0.1}


def test_without_sources_the_ranker_s_order_stands() -> None:
    assert rows(page(ranked(SCORES), slot(3))) == [[0, 12, 24]]


def test_a_source_s_weight_acts_on_the_log_odds_of_the_score() -> None:
    found = ranked(SCORES, trending={48: 1.0})

    ((first, *_),) = page(found, slot(3, sources={"trending": 3.0}))

    odds = 0.1 / 0.9 * np.exp(3.0)
    assert first.row == 48
    assert first.score == pytest.approx(odds / (1 + odds), rel=1e-5)


def test_no_item_stands_twice_and_the_placement_whose_sources_say_most_chooses_first() -> None:
    found = ranked(SCORES, trending={0: 0.9})

    general, specialised = page(found, slot(2), slot(2, sources={"trending": 3.0}))

    assert rows([general, specialised]) == [[24, 36], [0, 12]]


def test_a_placement_whose_sources_are_silent_does_not_take_the_best_from_the_others() -> None:
    found = ranked(SCORES, personal={0: 0.5})

    lists = page(found, slot(2, sources={"recent": 9.0}), slot(2, sources={"personal": 1.0}))

    assert rows(lists) == [[24, 36], [0, 12]]


def test_lists_are_spread_over_categories() -> None:
    scores = {row: 0.9 - row / 100 for row in (0, 1, 2, 3, 12, 24)}

    assert rows(page(ranked(scores), slot(4))) == [[0, 1, 12, 24]]


def test_variants_of_one_text_stand_once_on_a_page() -> None:
    items = replace(BUNDLE.items, content_row=np.where(np.arange(COUNT) == 12, 0, np.arange(COUNT)).astype(np.int32))

    lists = page(ranked(SCORES), slot(2), slot(2), bundle=replace(BUNDLE, items=items))

    assert rows(lists) == [[0, 24], [36, 48]]


def test_what_sold_out_is_replaced_by_the_next_best() -> None:
    assert rows(page(ranked(SCORES), slot(3), overrides={"item-01-00": {"availability": "out_of_stock"}})) == [
        [0, 24, 36]
    ]


def test_a_short_ranking_is_filled_up_from_the_placement_s_fallback_list() -> None:
    ((first, *others),) = page(ranked({7: 0.5}), slot(4))

    assert first.row == 7
    assert [item.row for item in others] == [0, 12, 24]  # the fallback of home_hero
    assert {reason.code for item in others for reason in item.reasons} == {"fallback"}


def test_where_the_fallback_is_used_up_the_most_popular_follow() -> None:
    (found,) = page(ranked({7: 0.5}), slot(40, placement_id="without a list"))

    assert len({item.row for item in found}) == 40


def test_rules_loosen_before_a_list_is_empty_but_stock_never_does() -> None:
    everything = tuple(BUNDLE.id_of(row) for row in range(COUNT))
    visit = Visit(ANONYMOUS, Session("s"), PageContext("product", NOW, item_id="item-00-00"))
    sold_out = {item_id: {"availability": "out_of_stock"} for item_id in everything[:-2]}
    dear = {item_id: {"price_cents": 10_000} for item_id in everything[-2:]}

    cheap = page(ranked({}), slot(4, price_at_most_anchor=True), visit=visit, overrides={**sold_out, **dear})
    nothing = page(ranked({}), slot(4), overrides={item_id: {"deleted": True} for item_id in everything})

    assert sorted(rows(cheap)[0]) == [COUNT - 2, COUNT - 1]
    assert rows(nothing) == [[]]


def test_the_incumbent_shows_its_segment_s_list_in_its_order() -> None:
    shopper = Shopper("u", cohort=3)

    (known,) = page(ranked(SCORES), slot(4, "cohorts"), visit=replace(HOME, shopper=shopper))
    (unknown,) = page(ranked(SCORES), slot(4, "cohorts"))

    assert [item.row for item in known] == BUNDLE.cohorts.lists[3][:4].tolist()
    assert [item.row for item in unknown] == BUNDLE.cohorts.lists[-1][:4].tolist()
    assert known[0].reasons == (Reason("segment", attribute="segment 3"),)


def test_without_a_ranking_precomputed_lists_fill_the_page() -> None:
    slots = [Slot(placement, "hybrid", placement.size) for placement in DEFAULT]

    lists = rows(page(None, *slots))

    hidden = [not found for found in lists]
    assert [placement.placement_id for placement, is_hidden in zip(DEFAULT, hidden, strict=True) if is_hidden] == [
        "home_continue",
        "pdp_bought_together",
        "pdp_recently_viewed",
    ]
    assert len({row for found in lists for row in found}) == 80 - 6 - 4 - 6


def test_the_margin_policy_keeps_the_bound_on_what_is_shown() -> None:
    """item-00-00 earns 10 % of 1.00, item-00-11 15 % of 6.50; they are nearly as relevant."""
    found = ranked({0: 0.50, 12: 0.40, 11: 0.39, 23: 0.10})

    (relevant,) = page(found, slot(2))
    (bounded,) = page(found, slot(2, "hybrid_margin", max_relevance_loss=0.1))
    (unbounded,) = page(found, slot(2, "hybrid_margin", max_relevance_loss=0.9))

    assert rows([relevant]) == [[0, 12]]
    assert sorted(item.row for item in bounded) == [0, 11]
    assert 0.50 + 0.39 >= 0.9 * (0.50 + 0.40)
    assert sorted(item.row for item in unbounded) == [11, 23]


def test_a_list_of_own_items_holds_nothing_else_whatever_the_variant() -> None:
    bought = PurchaseHistory(("item-05-01", "item-03-02"), (1, 1), (1.0, 2.0), (1.0, 2.0), 2)
    visit = replace(HOME, shopper=Shopper("u", bought, cohort=3))

    for variant in POLICIES:
        (own,) = page(ranked(SCORES), slot(4, variant, needs="own_items"), visit=visit)
        assert sorted(item.row for item in own) == [38, 61]  # item-03-02, item-05-01
        assert {item.reasons[0].code for item in own} <= {"bought_before", "segment"}


def test_a_variant_that_no_policy_fills_is_refused() -> None:
    with pytest.raises(KeyError, match="no_such_policy"):
        page(ranked(SCORES), slot(3, "no_such_policy"))


def test_reasons_name_what_they_rest_on() -> None:
    context = PageContext(
        "product", NOW, item_id="item-03-01", category="Dept 3 > Aisle 3", cart_item_ids=("item-05-00",)
    )
    partner_of_the_cart = 72  # item-06-00, bought together with item-05-00
    found = ranked(
        {100: 0.5, partner_of_the_cart: 0.4, 132: 0.3, 144: 0.2},
        similar_content={100: 0.9},
        co_purchase={partner_of_the_cart: 0.8, 100: 0.5},
        category={132: 0.7},
    )

    (chosen,) = page(found, slot(4), visit=replace(HOME, context=context))

    assert {item.row: item.reasons for item in chosen} == {
        100: (Reason("similar_content", "item-03-01"), Reason("bought_together", "item-03-01")),
        partner_of_the_cart: (Reason("bought_together", "item-05-00"),),
        132: (Reason("popular_in_category", attribute="Dept 3 > Aisle 3"),),
        144: (Reason("popular"),),
    }


def test_a_search_page_rests_on_its_search_term() -> None:
    context = PageContext("search", NOW, search_term="oat milk")

    (chosen,) = page(ranked({5: 0.5}, similar_content={5: 0.5}), slot(1), visit=replace(HOME, context=context))

    assert chosen[0].reasons == (Reason("similar_content", attribute="search_term"),)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sets(st.integers(0, COUNT - 1), max_size=120))
def test_whatever_the_ranking_a_page_is_full_eligible_and_without_repetition(seed: int, sold_out: set[int]) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(0, COUNT))
    found = Ranked(
        rng.permutation(COUNT)[:size].astype(np.int32),
        np.sort(rng.uniform(1e-6, 1 - 1e-6, size).astype(np.float32))[::-1].copy(),
        (rng.random((size, 9)) * (rng.random((size, 9)) < 0.3)).astype(np.float32),
        "session",
        1.0,
    )
    slots = [Slot(placement, str(rng.choice(POLICIES)), placement.size) for placement in DEFAULT]
    gone = {BUNDLE.id_of(row): {"availability": "out_of_stock"} for row in sold_out}
    visit = Visit(Shopper("u", cohort=2), Session("s"), PageContext("product", NOW, item_id="item-00-00"))

    lists = whole_page(found, *slots, visit=visit, overrides=gone)

    shown = [item.row for one in lists for item in one.items]
    for one, placement in zip(lists, DEFAULT, strict=True):
        (needs,) = {promise.needs for promise in placement.promises if promise.name == one.name}
        assert needs in PROMISES or len(one.items) == placement.size  # what only certain items fit may be short
    assert len(shown) == len(set(shown))
    assert not set(shown) & (sold_out | {0})
    assert all(item.reasons for one in lists for item in one.items)
