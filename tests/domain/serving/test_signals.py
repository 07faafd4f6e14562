"""Signals: each source is read once, where it has something to go by, and is absent otherwise."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from recommender.domain.models.bundle import Neighbours
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.signals import Signals, closeness, content_of, gather, partners
from recommender.domain.serving.visit import ANONYMOUS, Session, Shopper
from recommender.domain.serving.visitor import days_since_epoch, owned_items, seen_items

from tests.domain.visits import NOW, page, shopper, visit
from tests.tiny_bundle import COUNT, EACH, item_id, tiny_bundle

BUNDLE = tiny_bundle()
ANN = shopper((item_id(3, 1), 2, 5.0), (item_id(3, 2), 1, 40.0))
NO_VISIT = visit()


def signals(who: Shopper = ANONYMOUS, session: Session = NO_VISIT, context: PageContext | None = None) -> Signals:
    about = context or page()
    owned, seen = owned_items(BUNDLE, who.history), seen_items(BUNDLE, session, about)
    return gather(BUNDLE, owned, seen, who.cohort, about, days_since_epoch(NOW))


def absent(found: Signals) -> set[str]:
    return {field.name for field in fields(Signals) if getattr(found, field.name) is None}


OF_HISTORY = {"user_vec", "history_scores", "first_purchase_taste", "taste"}
OF_VISIT = {"partner_scores", "session_vec"}
OF_SEARCH = {"search_scores"}


@pytest.mark.parametrize(
    ("who", "session", "context", "missing"),
    [
        (ANONYMOUS, NO_VISIT, page(), OF_HISTORY | OF_VISIT | OF_SEARCH | {"personal_vec", "subject"}),
        (ANN, NO_VISIT, page(), OF_VISIT | OF_SEARCH | {"subject"}),
        (ANONYMOUS, visit(("view_item", item_id(4, 2))), page(), OF_HISTORY | OF_SEARCH),
        (ANONYMOUS, NO_VISIT, page("search", search_term="aisle 3"), OF_HISTORY | OF_VISIT | {"personal_vec"}),
        (ANONYMOUS, NO_VISIT, page("product", item_id=item_id(1, 1)), OF_HISTORY | OF_SEARCH | {"personal_vec"}),
    ],
    ids=["stranger", "known shopper", "visit", "search", "product page"],
)
def test_what_nothing_is_known_of_is_absent(
    who: Shopper, session: Session, context: PageContext, missing: set[str]
) -> None:
    assert absent(signals(who, session, context)) == missing


def test_the_prior_of_a_page_is_that_of_its_contexts() -> None:
    plain, aisle = signals(), signals(context=page("category", category="Dept 3 > Aisle 3"))

    inside = slice(3 * EACH, 4 * EACH)
    assert (aisle.log_prior[inside] > plain.log_prior[inside]).all()


def test_a_visit_moves_the_preference_from_where_the_history_has_put_it() -> None:
    viewed = visit(("view_item", item_id(9, 2)))
    known, both = signals(ANN), signals(ANN, viewed)

    assert known.user_vec is not None and known.personal_vec is not None and both.personal_vec is not None
    assert known.personal_vec.tolist() == known.user_vec.tolist()
    target = BUNDLE.item_vectors[9 * EACH + 2]
    assert both.personal_vec @ target > known.personal_vec @ target


def test_a_search_is_the_subject_even_within_a_visit() -> None:
    viewed = visit(("view_item", item_id(9, 2)))
    found = signals(session=viewed, context=page("search", search_term="aisle 3"))

    assert found.subject is not None and found.search_scores is not None
    closest = np.argsort(-closeness(BUNDLE, found.subject))[:EACH]
    assert (closest // EACH == 3).mean() > 0.8
    assert (np.argsort(-found.search_scores)[:EACH] // EACH == 3).all()


def test_partners_add_up_by_weight_and_an_empty_place_is_nobody() -> None:
    neighbours = Neighbours(
        np.array([[1, 2], [2, -1], [0, 1]], np.int32), np.array([[1.0, 0.5], [0.4, 9.0], [1.0, 1.0]], np.float32)
    )

    total = partners(neighbours, np.array([0, 1]), np.array([2.0, 10.0]), 4)

    assert total.tolist() == pytest.approx([0.0, 2 * 1.0, 2 * 0.5 + 10 * 0.4, 0.0])


def test_items_that_share_a_text_share_its_content() -> None:
    rows = np.arange(COUNT) // 2
    shared = tiny_bundle(items=replace(BUNDLE.items, content_row=rows.astype(np.int32)))

    assert content_of(shared, np.array([0, 1])).tolist() == [BUNDLE.content_vectors[0].tolist()] * 2
    cosine = closeness(shared, BUNDLE.content_vectors[0])
    assert cosine[0] == cosine[1] == pytest.approx(1.0, abs=1e-6)
