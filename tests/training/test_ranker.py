"""The ranker and its labelled requests: what a group holds, what is learnt, that ONNX says the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.serving.features import FEATURES
from recommender.domain.serving.visit import UNKNOWN_COHORT
from recommender.errors import ArtifactRefused

from tests.tiny_bundle import tiny_bundle
from tests.training.shop import START, UNTIL, frame, shop
from training_jobs.counting.lines import build_histories, days_since_epoch, label_cuts, read_lines, window_purchases
from training_jobs.onnx_models import TrainingFailed, assert_parity, onnx_function
from training_jobs.session_ranker.data import (
    NOT_SEEN,
    Case,
    Group,
    as_stranger,
    group_of,
    in_cart,
    looked_at,
    owned_of,
    visit_cases,
    window_cases,
)
from training_jobs.session_ranker.ranker import (
    NOT_RECORDED,
    PURCHASES,
    RECORDED,
    Ranker,
    RankerSettings,
    as_function,
    ranker_onnx,
    train_ranker,
)

JAM, MILK, SOAP, TEA, WAX = range(5)
OWNED, TREND = FEATURES.index("is_owned"), FEATURES.index("trend")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # the machine may be shared


def _groups(count: int = 120) -> list[Group]:
    """Owned items are bought with the trend, others against it; both by chance now and then."""
    rng = np.random.default_rng(2)
    groups = []
    for _ in range(count):
        features = rng.normal(size=(40, len(FEATURES))).astype(np.float32)
        owned = rng.random(40) < 0.5
        features[:, OWNED] = owned
        signal = np.where(owned, features[:, TREND], -features[:, TREND])
        groups.append(Group(features, signal + 0.3 * rng.normal(size=40) > 1.2, owned))
    return groups


def test_the_ranker_learns_an_order_that_depends_on_ownership() -> None:
    trained = train_ranker(_groups(), RankerSettings(epochs=12, groups_per_batch=4))
    score = as_function(trained.module)

    features = np.zeros((4, len(FEATURES)), np.float32)
    features[:, OWNED], features[:, TREND] = [1, 1, 0, 0], [2, -2, 2, -2]
    owned_up, owned_down, new_up, new_down = score({"features": features})["score"]
    assert owned_up > owned_down and new_down > new_up
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"]


def test_scores_are_probabilities_that_fit_on_average() -> None:
    groups = _groups(300)

    score = as_function(train_ranker(groups, RankerSettings(epochs=6, groups_per_batch=4)).module)

    predicted = np.concatenate([score({"features": group.features})["score"] for group in groups])
    bought = np.concatenate([group.is_bought for group in groups])
    assert predicted.mean() == pytest.approx(bought.mean(), rel=0.2)
    top = predicted > np.quantile(predicted, 0.9)
    assert predicted[top].mean() == pytest.approx(bought[top].mean(), rel=0.25)


def test_the_same_seed_gives_the_same_ranker() -> None:
    first, second = (train_ranker(_groups(60), RankerSettings(epochs=2)).module for _ in range(2))

    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_the_ranker_in_onnx_agrees_with_pytorch_for_any_number_of_candidates() -> None:
    module = train_ranker(_groups(60), RankerSettings(epochs=2)).module
    exported = onnx_function(ranker_onnx(module))

    for count in (1, 2, 600):
        feed = {"features": np.random.default_rng(0).normal(size=(count, len(FEATURES))).astype(np.float32) * 3}
        assert assert_parity(as_function(module)(feed), exported(feed), name="ranker.onnx") < 1e-5


def test_without_recorded_visits_clicks_and_carts_answer_as_purchases_do_and_say_so() -> None:
    trained = train_ranker(_groups(60), RankerSettings(epochs=2))

    answer = as_function(trained.module)({"features": _groups(1)[0].features})
    assert set(answer) == {"score", "click", "cart", "purchase"}
    assert answer["score"].tolist() == answer["purchase"].tolist() == answer["click"].tolist()
    assert trained.metrics["heads"]["click"] == {"fitted_on": NOT_RECORDED}
    assert trained.metrics["heads"]["purchase"]["fitted_on"] == PURCHASES
    assert 0 <= trained.metrics["ece"] < 0.5  # six held-out requests


def test_a_click_has_a_head_of_its_own_where_visits_were_recorded() -> None:
    rng = np.random.default_rng(5)
    price = FEATURES.index("price")
    groups = []
    for group in _groups(300):  # what is clicked is cheap, whatever is bought
        clicked = group.features[:, price] + 0.3 * rng.normal(size=40) < -0.5
        groups.append(replace(group, is_clicked=clicked, is_carted=group.is_bought))

    trained = train_ranker(groups, RankerSettings(epochs=8, groups_per_batch=4))
    features = np.zeros((2, len(FEATURES)), np.float32)
    features[:, price] = [-2.0, 2.0]
    click = as_function(trained.module)({"features": features})["click"]

    assert click[0] > 0.5 > click[1]
    assert trained.metrics["heads"]["click"]["fitted_on"] == RECORDED and trained.metrics["heads"]["click"]["ece"] < 0.2


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(FEATURES), st.floats(1e3, 1e30), st.sampled_from([-1.0, 1.0]))
def test_no_single_feature_moves_a_score_further_than_its_bound(name: str, size: float, sign: float) -> None:
    score = as_function(_bounded())
    features = np.zeros((2, len(FEATURES)), np.float32)
    features[:, FEATURES.index(name)] = [sign * 1e3, sign * size]  # a mistyped price, and a worse one

    far, farther = score({"features": features})["score"]
    assert far == pytest.approx(farther, rel=1e-4)


@cache
def _bounded() -> Ranker:
    return train_ranker(_groups(60), RankerSettings(epochs=2)).module


@pytest.mark.parametrize("count", [1, 2, 10, 20])
def test_few_requests_are_enough_to_train_on(count: int) -> None:
    trained = train_ranker(_groups(count), RankerSettings(epochs=1, groups_per_batch=1))

    assert np.isfinite(as_function(trained.module)({"features": _groups(1)[0].features})["score"]).all()


def test_nothing_to_learn_from_is_one_clear_error() -> None:
    with pytest.raises(ArtifactRefused, match="0 labelled requests"):
        train_ranker([], RankerSettings())


def test_a_feature_that_is_no_number_stops_the_training_with_its_batch() -> None:
    groups = _groups(40)
    for group in groups:
        group.features[0, 0] = np.nan

    with pytest.raises(TrainingFailed, match="ranker, epoch 1, batch"):
        train_ranker(groups, RankerSettings(epochs=1))


def test_a_group_labels_what_was_bought_and_marks_what_was_owned() -> None:
    bundle = tiny_bundle()
    owned = owned_of(build_histories(read_lines(shop(), until=UNTIL), shop().item_ids), "ann")
    targets = np.array([3, 50, 100], np.int32)

    group = group_of(bundle, Case("ann", owned, NOT_SEEN, 0, 20_000.0, targets), limit=10_000)

    assert group.features.shape == (len(group.is_bought), len(FEATURES))
    assert group.is_owned.sum() == 3  # tea, milk and jam
    assert 1 <= group.is_bought.sum() <= 3


def test_windows_ask_each_shopper_for_everything_bought_in_them() -> None:
    exports = shop()
    histories = build_histories(read_lines(exports, until=START + timedelta(days=20)), exports.item_ids)
    start, end = (days_since_epoch(START + timedelta(days=day)) for day in (20, 60))
    bought = window_purchases(read_lines(exports, until=UNTIL), after_days=start, until_days=end)

    cases = {case.shopper_id: case for case in window_cases(histories, bought, {"ann": 3}, now_days=start)}

    assert {name: case.targets.tolist() for name, case in cases.items()} == {
        "ann": [JAM, TEA],
        "bob": [MILK, TEA],
        "cy": [SOAP],
    }
    assert cases["ann"].cohort == 3 and cases["bob"].cohort == UNKNOWN_COHORT
    assert cases["ann"].owned.rows.tolist() == [MILK, TEA]
    assert cases["ann"].owned.orders.tolist() == [1, 2]  # as of day 20
    assert not len(cases["cy"].owned.rows)


def test_a_window_never_reaches_back_over_its_start() -> None:
    exports = shop()
    start, end = (days_since_epoch(START + timedelta(days=day)) for day in (10, 11))

    bought = window_purchases(read_lines(exports, until=UNTIL), after_days=start, until_days=end)

    assert {name: bought.targets(name).tolist() for name in bought.by_shopper} == {"ann": [TEA]}


def test_visits_show_a_part_of_an_order_and_ask_for_the_rest() -> None:
    orders = [("big", "dan", item) for item in ("jam", "milk", "soap", "tea", "wax")]
    lines = [(who, item, order, START + timedelta(days=45), 1, 100) for order, who, item in orders]
    purchases = shop().purchases.vstack(shop(purchases=frame("purchases", lines)).purchases)
    exports = replace(shop(), purchases=purchases.sort("purchased_at"))
    histories = build_histories(read_lines(exports, until=START + timedelta(days=20)), exports.item_ids)
    start, end = (days_since_epoch(START + timedelta(days=day)) for day in (20, 60))
    bought = window_purchases(read_lines(exports, until=UNTIL), after_days=start, until_days=end)

    cases = list(visit_cases(histories, bought, {}, np.random.default_rng(0)))

    assert [case.shopper_id for case in cases] == ["dan"]  # the only order of four items or more
    shown, asked = set(cases[0].seen.viewed.tolist()), set(cases[0].targets.tolist())
    assert not shown & asked and shown | asked == {JAM, MILK, SOAP, TEA, WAX}
    assert cases[0].now_days == days_since_epoch(START + timedelta(days=45))


def test_a_stranger_keeps_the_visit_and_nothing_else() -> None:
    owned = owned_of(build_histories(read_lines(shop(), until=UNTIL), shop().item_ids), "ann")
    case = Case("ann", owned, looked_at(np.array([1], np.int32)), 4, 10.0, np.array([2], np.int32))

    hidden = as_stranger(case)

    assert hidden.shopper_id == "" and hidden.cohort == UNKNOWN_COHORT and not len(hidden.owned.rows)
    assert hidden.seen is case.seen and hidden.targets is case.targets


def test_a_cart_is_an_anchor_and_a_view_is_not() -> None:
    rows = np.array([1, 2], np.int32)

    assert in_cart(rows).anchors.tolist() == [1, 2]
    assert not len(looked_at(rows).anchors)
    assert in_cart(rows).weights.min() > looked_at(rows).weights.max()


def test_label_windows_end_where_the_evaluation_starts_and_shrink_where_data_are_short() -> None:
    long = label_cuts(START, START + timedelta(days=300))
    short = label_cuts(START, START + timedelta(days=30))

    assert long == (START + timedelta(days=244), START + timedelta(days=272))
    assert short == (START + timedelta(days=10), START + timedelta(days=20))
