"""New arrivals: which items they are, and that a shopper's categories and texts order them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.arrivals import arrival_scores, arrivals
from recommender.domain.serving.candidates import candidates
from recommender.domain.serving.visit import ANONYMOUS

from tests.domain.visits import page, shopper, visit
from tests.tiny_bundle import EACH, item_id, tiny_bundle

ARRIVED = np.arange(9, 240, EACH)  # the tenth item of each category


def _bundle() -> Bundle:
    bundle = tiny_bundle()
    popularity = bundle.items.popularity.copy()
    popularity[ARRIVED] = 0.0
    log_tried = np.zeros_like(bundle.discovery.log_tried)
    return replace(
        bundle,
        items=replace(bundle.items, popularity=popularity),
        discovery=replace(bundle.discovery, log_tried=log_tried),
    )


def test_arrivals_are_the_items_that_nobody_has_bought() -> None:
    assert arrivals(_bundle()).tolist() == ARRIVED.tolist()


def test_an_arrival_of_a_category_that_the_shopper_buys_from_comes_first() -> None:
    bundle = _bundle()
    ann = shopper((item_id(6, 1), 3, 20.0), (item_id(6, 2), 1, 5.0), (item_id(2, 0), 1, 5.0))
    signals = candidates(bundle, ann, visit(), page()).signals

    scores = arrival_scores(bundle, signals, arrivals(bundle))

    assert arrivals(bundle)[np.argsort(-scores)[:2]].tolist() == [6 * EACH + 9, 2 * EACH + 9]
    assert np.isfinite(scores).all()


def test_a_stranger_gets_them_by_what_arrivals_were_tried_before() -> None:
    bundle = _bundle()
    signals = candidates(bundle, ANONYMOUS, visit(), page()).signals

    assert arrival_scores(bundle, signals, arrivals(bundle)).tolist() == [0.0] * len(ARRIVED)
