"""Poor data give a result or one clear error: no text, one category, one purchase each, nothing bought at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import torch
from recommender.domain.models.arrays import Floats
from recommender.domain.models.posterior import PreferencePrior
from recommender.domain.serving.features import features_of
from recommender.errors import ArtifactRefused

from tests.training.shop import START, UNTIL, frame, shop
from training_jobs.exports import Exports
from training_jobs.session_ranker.data import NOT_SEEN, Case, as_stranger, in_cart, owned_of, score_rows, signals_of
from training_jobs.session_ranker.fitting import Models, RankerPlan, SessionPart, count_until, fit_ranker
from training_jobs.session_ranker.ranker import RankerSettings, as_function
from training_jobs.two_tower.towers import Towers

WIDTH, ITEMS = 4, 5
CONTENT_ROWS = np.zeros(ITEMS, np.int32)  # one text, the empty one
PLAN = RankerPlan(groups_per_cut=50, candidates=50, training=RankerSettings(epochs=1))
CUTS = (START + timedelta(days=20), START + timedelta(days=40))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # the machine may be shared


def _models() -> Models:
    vectors: Floats = np.eye(ITEMS, WIDTH, dtype=np.float32) + np.float32(0.1)
    towers = Towers(
        vectors,
        lambda feed: {"user_vec": vectors[feed["history"][0]].mean(axis=0, keepdims=True)},
        PreferencePrior(vectors.mean(axis=0), np.eye(WIDTH, dtype=np.float32), np.full(WIDTH, 0.3, np.float32), 1.0),
    )
    session = SessionPart(vectors, lambda feed: {"session_vec": vectors[feed["items"][0]].mean(axis=0, keepdims=True)})
    return Models(np.ones((1, 3), np.float32), towers, session)


def _without_text() -> Exports:
    """Nothing but ids: no title, no description, one category, one brand, no price."""
    items = shop().items.with_columns(
        *(pl.lit("").alias(name) for name in ("title", "description", "brand")),
        pl.lit("All").alias("category"),
        pl.lit(0).cast(pl.Int64).alias("price_cents"),
    )
    return shop(items=items)


def _once_each() -> Exports:
    """Five shoppers who came once, the last three of them after the first cut."""
    bought = [
        (f"s{n}", item, f"o{n}", START + timedelta(days=day), 1, 100)
        for n, (day, pair) in enumerate(
            [
                (1, ("tea", "jam")),
                (5, ("tea", "wax")),
                (25, ("tea", "jam")),
                (45, ("soap", "jam")),
                (50, ("tea", "milk")),
            ]
        )
        for item in pair
    ]
    return shop(purchases=frame("purchases", bought))


@pytest.mark.parametrize("exports", [shop(), _without_text(), _once_each()], ids=["a shop", "no text", "once each"])
def test_requests_of_poor_data_are_learnt_from_and_answered_with_numbers(exports: Exports) -> None:
    models = _models()
    trained = fit_ranker(exports, cuts=CUTS, evaluate_from=UNTIL, content_rows=CONTENT_ROWS, models=models, plan=PLAN)
    bundle = models.bundle(count_until(exports, UNTIL, CONTENT_ROWS), as_function(trained.module))

    known = owned_of(count_until(exports, UNTIL, CONTENT_ROWS).statistics.histories, exports.purchases["shopper_id"][0])
    for case in (
        Case("someone", known, NOT_SEEN, 0, 20_000.0, np.array([0], np.int32)),
        Case("someone", known, in_cart(np.array([3, 1], np.int32)), 0, 20_000.0, np.array([0], np.int32)),
    ):
        for asked in (case, as_stranger(case)):
            rows, features = score_rows(bundle, asked, limit=50)
            scores = bundle.ranker({"features": features})["score"]
            assert len(rows) and np.isfinite(features).all() and np.isfinite(scores).all()


def test_a_training_window_without_purchases_is_one_clear_error() -> None:
    nothing = shop(purchases=frame("purchases", []))

    with pytest.raises(ArtifactRefused, match="0 labelled requests"):
        fit_ranker(nothing, cuts=CUTS, evaluate_from=UNTIL, content_rows=CONTENT_ROWS, models=_models(), plan=PLAN)


def test_counts_of_a_shop_that_has_sold_nothing_are_numbers() -> None:
    counted = count_until(replace(shop()), START - timedelta(days=1), CONTENT_ROWS)
    bundle = _models().bundle(counted)

    signals = signals_of(
        bundle, Case("", owned_of(counted.statistics.histories, ""), NOT_SEEN, -1, 20_000.0, CONTENT_ROWS)
    )
    assert np.isfinite(features_of(bundle, signals, np.arange(ITEMS, dtype=np.int32))).all()
