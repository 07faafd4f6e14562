"""A reason names the source that counted most, with the item or the attribute that it rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recommender.contracts.answers import Reason
from recommender.contracts.placements import HIDDEN_REASONS, SOURCES
from recommender.domain.serving.reasons import (
    BASE_WEIGHT,
    CODES,
    PROMISES,
    SECOND_AT_LEAST,
    evidence,
    promise_reasons,
    ranked_reasons,
    segment_reason,
)
from recommender.domain.serving.visit import UNKNOWN_COHORT, Shopper

from tests.domain.visits import page, visit
from tests.tiny_bundle import EACH, category_name, item_id, tiny_bundle

BUNDLE = tiny_bundle()
NO_VISIT = visit()
ROW = 5 * EACH + 1


def reasons(strengths: dict[str, float], weights: dict[str, float] | None = None, **about: Any) -> tuple[Reason, ...]:
    """The reasons of item ROW with these strengths, on a page and in a visit."""
    session, context = about.get("session", NO_VISIT), about.get("context", page())
    table = np.array([[strengths.get(source, 0.0) for source in SOURCES]], np.float32)
    given = np.array([(weights or {}).get(source, 0.0) for source in SOURCES], np.float32)
    (found,) = ranked_reasons(evidence(BUNDLE, session, context), [ROW], table, given)
    return found


def codes(found: tuple[Reason, ...]) -> list[str]:
    return [reason.code for reason in found]


def test_an_item_that_no_source_knows_is_popular() -> None:
    assert codes(reasons({})) == ["popular"]


def test_the_placement_s_weights_decide_which_source_counts() -> None:
    strengths = {"personal": 0.9, "trending": 0.5}

    assert codes(reasons(strengths))[0] == "matches_your_taste"
    assert codes(reasons(strengths, {"trending": 2.0}))[0] == "trending"  # .5 * 2.25 above .9 * .25


@pytest.mark.parametrize(("second", "told"), [(SECOND_AT_LEAST, 2), (SECOND_AT_LEAST - 0.01, 1)])
def test_a_second_reason_must_count_half_as_much(second: float, told: int) -> None:
    assert len(reasons({"personal": 1.0, "trending": second})) == told
    assert BASE_WEIGHT > 0  # or no source without a weight could ever be told


def test_bought_together_names_the_anchor_whose_partner_the_item_is() -> None:
    anchor, other = item_id(4, 1), item_id(9, 9)  # partners of an item: the same place in the next five categories
    context = page("cart", cart_item_ids=(other, anchor))

    (reason,) = reasons({"co_purchase": 1.0}, context=context)

    assert reason == Reason("bought_together", anchor)


def test_without_a_partner_the_first_anchor_is_named_and_without_anchors_none() -> None:
    context = page("cart", cart_item_ids=(item_id(9, 9),))

    assert reasons({"co_purchase": 1.0}, context=context) == (Reason("bought_together", item_id(9, 9)),)
    assert reasons({"co_purchase": 1.0}) == (Reason("bought_together"),)


def test_session_affinity_names_the_item_seen_last_and_what_both_share() -> None:
    brand, category = item_id(9, 1), item_id(5, 0)  # brands repeat every three places: 1 shares it, 0 does not
    seen = {one: reasons({"session": 1.0}, session=visit(("view_item", one))) for one in (brand, category)}

    assert seen[brand] == (Reason("session_affinity", brand, "brand"),)
    assert seen[category] == (Reason("session_affinity", category, "category"),)
    assert reasons({"session": 1.0}) == (Reason("session_affinity"),)


def test_every_promise_that_only_certain_items_keep_has_its_reason() -> None:
    assert set(PROMISES) == set(HIDDEN_REASONS) - {"somebody"}


def test_own_items_are_viewed_or_bought() -> None:
    found = evidence(BUNDLE, visit(("view_item", BUNDLE.id_of(ROW))), page())

    assert [reason.code for reason in promise_reasons(found, "own_items", [ROW, 0])] == [
        "viewed_recently",
        "bought_before",
    ]


def test_similar_items_are_explained_by_their_own_category() -> None:
    found = evidence(BUNDLE, NO_VISIT, page("product", item_id=item_id(1, 1)))

    assert promise_reasons(found, "similar", [ROW]) == [Reason("popular_in_category", attribute=category_name(5))]


def test_the_incumbent_names_the_segment_but_not_to_a_stranger() -> None:
    assert segment_reason(BUNDLE, Shopper("u", cohort=3)) == Reason("segment", attribute="segment 3")
    assert segment_reason(BUNDLE, Shopper("u", cohort=UNKNOWN_COHORT)) == Reason(CODES["prior"])
