"""The towers: what they learn, that training can be put down and taken up, and that ONNX says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training_jobs.onnx_models import TrainingFailed, assert_parity, onnx_function
from training_jobs.two_tower.batches import Drawing, Moments, Prefixes, draw, history_at
from training_jobs.two_tower.data import LENGTH, Catalogue, Purchases, Timeline, spectral_vectors
from training_jobs.two_tower.export import retrieval_onnx, retrieval_overlap, user_tower_onnx
from training_jobs.two_tower.model import TowerShape, TwoTower, UserTower
from training_jobs.two_tower.towers import as_function, finished
from training_jobs.two_tower.training import TERMINATED, Checkpoints, TowerSettings, train_towers

ITEMS, SHOPPERS, EACH = 40, 120, 8
SHAPE = TowerShape(width=8, hidden=16, fewest_shoppers=2)
# 60 steps, measured at every tenth.
SETTINGS = TowerSettings(shape=SHAPE, fewest_steps=60, epochs=0.0, drawing=Drawing(targets=64), negatives=64, checks=6)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # the machine may be shared


def _purchases() -> Purchases:
    """Shoppers of two tastes: even ones buy items 0-19, odd ones 20-38; item 39 is never bought."""
    rng = np.random.default_rng(3)
    items = np.concatenate([rng.choice(19, EACH, replace=False) + 20 * (s % 2) for s in range(SHOPPERS)])
    offsets = np.arange(SHOPPERS + 1, dtype=np.int64) * EACH
    return Purchases(offsets, items.astype(np.int32), np.ones(len(items), np.float32), ITEMS)


def _catalogue() -> Catalogue:
    rng = np.random.default_rng(4)
    codes = (np.arange(ITEMS) // 20).astype(np.int32)
    return Catalogue(rng.normal(size=(ITEMS, 6)).astype(np.float32), np.arange(ITEMS, dtype=np.int32), (codes,) * 3)


def _contrast(towers: TwoTower) -> float:
    """How much closer a shopper is to unseen items of the own taste than to those of the other."""
    user = UserTower(towers).eval()
    vectors = user.vectors.numpy()
    feed: dict[str, Any] = {"history": np.arange(5)[None], "weights": np.ones((1, 5), np.float32)}
    scores = vectors @ as_function(user)(feed)["user_vec"][0]
    return float(scores[5:19].mean() - scores[20:39].mean())


def test_training_brings_shoppers_closer_to_items_of_their_own_taste() -> None:
    trained = train_towers(_purchases(), _catalogue(), SETTINGS)

    assert trained.best_step == 60
    assert _contrast(trained.towers) > 0.4  # six times the temperature: e ** 6 times as likely


def test_the_spectral_start_already_separates_tastes() -> None:
    vectors = spectral_vectors(_purchases(), 8, np.random.default_rng(0))

    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    likeness = unit @ unit.T
    assert likeness[:19, :19].mean() > likeness[:19, 20:39].mean() + 0.2
    assert np.linalg.norm(vectors, axis=1).max() <= LENGTH + 1e-6
    assert not vectors[39].any()  # nobody bought it


def test_an_item_that_few_bought_lives_by_its_content() -> None:
    towers = train_towers(_purchases(), _catalogue(), SETTINGS).towers

    vectors = towers.item_vectors()
    assert towers.number[39] == 0
    assert torch.linalg.norm(vectors, dim=1).allclose(torch.ones(ITEMS), atol=1e-5)
    assert (vectors[39] @ vectors[20:39].T).mean() > (vectors[39] @ vectors[:19].T).mean()  # its category's company


def _baskets() -> Purchases:
    """Two shoppers on days 0, 10 and 50: the first buys {1, 2}, {2, 3}, {4}, the second {5, 6}, {7, 8}, {9}."""
    days = np.array([0, 0, 10, 10, 50] * 2, np.float64)
    items = np.array([1, 2, 2, 3, 4, 5, 6, 7, 8, 9], np.int32)
    lines = Timeline(np.array([0, 5, 10]), items, days, np.array([0, 0, 1, 1, 2, 3, 3, 4, 4, 5]))
    entries = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9], np.int32)
    return Purchases(np.array([0, 4, 9]), entries, np.ones(9, np.float32), ITEMS, lines)


def test_every_item_after_the_first_is_asked_for_with_those_before_it() -> None:
    data = Purchases(np.array([0, 3, 5]), np.array([1, 2, 3, 4, 5], np.int32), np.ones(5, np.float32), ITEMS)

    batch = Prefixes(data, Drawing(targets=100)).batch(0)

    ends = {
        (tuple(batch.history[row][: place or None][batch.weights[row][: place or None] > 0].tolist()), wanted)
        for row, place, wanted in zip(batch.row, batch.place + 1, batch.wanted.tolist(), strict=True)
    }
    assert ends == {((1,), 2), ((1, 2), 3), ((4,), 5)}


def test_a_moment_asks_for_the_weeks_after_an_order_and_shows_what_came_before_it() -> None:
    moments = Moments(_baskets(), Drawing(moments=16))

    seen = set()
    for step in range(4):
        batch = moments.batch(step)
        for row in range(len(batch.history)):
            known = batch.weights[row] > 0
            seen.add((tuple(batch.history[row][known].tolist()), tuple(batch.wanted[batch.row == row].tolist())))

    # Day 50 lies more than 28 days after day 10: it is not asked for there.
    assert seen == {((1, 2), (2, 3)), ((1, 2, 3), (4,)), ((5, 6), (7, 8)), ((5, 6, 7, 8), (9,))}


def test_a_history_is_ordered_by_the_last_purchase_and_keeps_the_heaviest_items() -> None:
    items, days = np.array([7, 3, 7, 5]), np.array([0.0, 1.0, 2.0, 2.0])

    rows, weights = history_at(items, days, 152.0, most=10)

    assert rows.tolist() == [3, 5, 7]  # 5 and 7 on the same day: by row
    assert weights[1:] == pytest.approx([np.log(2) * 0.5, np.log(3) * 0.5])  # 150 days halve a weight
    assert history_at(items, days, 152.0, most=2)[0].tolist() == [5, 7]


def test_the_shape_of_the_data_decides_how_examples_are_drawn() -> None:
    assert isinstance(draw(_purchases(), Drawing()), Prefixes)
    assert isinstance(draw(_baskets(), Drawing()), Moments)


@pytest.mark.parametrize("data", [_purchases(), _baskets()], ids=["prefixes", "moments"])
def test_processes_share_a_batch_without_drawing_the_same(data: Purchases) -> None:
    drawing = Drawing(targets=64, moments=16)
    whole = draw(data, drawing).batch(3)
    parts = [draw(data, replace(drawing, rank=rank, ranks=2)).batch(3) for rank in (0, 1)]

    assert sum(len(part.history) for part in parts) == len(whole.history)
    assert draw(data, replace(drawing, rank=1, ranks=2)).batch(3).wanted.tolist() == parts[1].wanted.tolist()


def test_a_loss_that_is_no_number_ends_the_training_with_the_batch_named() -> None:
    broken = replace(SETTINGS, temperature=float("nan"))

    with pytest.raises(TrainingFailed, match="batch 0"):
        train_towers(_purchases(), _catalogue(), broken)


@pytest.mark.parametrize("codes", [(), (np.zeros(ITEMS, np.int32),) * 3], ids=["no categories", "one category"])
def test_a_catalogue_that_says_nothing_of_its_items_is_learnt_by_ids_alone(codes: tuple[Any, ...]) -> None:
    silent = Catalogue(np.zeros((1, 4), np.float32), np.zeros(ITEMS, np.int32), codes)

    towers = train_towers(_purchases(), silent, SETTINGS).towers

    assert np.isfinite(towers.item_vectors().numpy()).all()
    assert _contrast(towers) > 0.4


@pytest.mark.parametrize("days", [np.arange(1000.0), np.zeros(1000)], ids=["a thousand orders", "one order"])
def test_one_item_bought_a_thousand_times_gives_towers(days: Any) -> None:
    lines = Timeline(np.array([0, 1000]), np.full(1000, 3, np.int32), days, days.astype(np.int64))
    data = Purchases(np.array([0, 1]), np.array([3], np.int32), np.ones(1, np.float32), ITEMS, lines)

    towers = finished(train_towers(data, _catalogue(), replace(SETTINGS, fewest_steps=3)).towers, data)

    assert np.isfinite(towers.item_vectors).all()


def test_training_stops_where_the_measure_does_and_keeps_the_best_towers() -> None:
    marks = iter([0.1, 0.5, 0.4, 0.3, 0.9])

    trained = train_towers(_purchases(), _catalogue(), SETTINGS, measure=lambda towers: next(marks))

    assert trained.best_step == 10  # checks at 0, 10, 20, 30: two without a better one end it
    assert [point["measure"] for point in trained.curve] == [0.1, 0.5, 0.4, 0.3]


def test_training_resumed_from_a_checkpoint_ends_as_if_never_interrupted(tmp_path: Path) -> None:
    whole = train_towers(_purchases(), _catalogue(), SETTINGS)
    interrupted = Checkpoints(tmp_path / "towers.pt")
    interrupted.is_interrupted = True  # as SIGTERM does

    with pytest.raises(SystemExit) as left:
        train_towers(_purchases(), _catalogue(), SETTINGS, checkpoints=interrupted)
    resumed = train_towers(_purchases(), _catalogue(), SETTINGS, checkpoints=Checkpoints(tmp_path / "towers.pt"))

    assert left.value.code == TERMINATED
    assert resumed.towers.item_vectors().allclose(whole.towers.item_vectors(), atol=1e-5)


def test_the_user_tower_in_onnx_agrees_with_pytorch_for_any_length() -> None:
    towers = train_towers(_purchases(), _catalogue(), SETTINGS).towers
    user = UserTower(towers).eval()
    exported = onnx_function(user_tower_onnx(user))

    for length in (1, 3, 17):
        rows = np.arange(length)[None] % ITEMS
        feed: dict[str, Any] = {
            "history": rows.astype(np.int64),
            "weights": np.linspace(0.1, 2, length, dtype=np.float32)[None],
        }
        assert assert_parity(as_function(user)(feed), exported(feed), name="user_tower.onnx") < 1e-5


@pytest.mark.parametrize("exact_items", [1000, 0])
def test_retrieval_returns_the_nearest_items(exact_items: int) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(800, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    content = retrieval_onnx(vectors, returned=200, exact_items=exact_items)

    assert retrieval_overlap(content, vectors, vectors[:20]) > 0.99
    found = onnx_function(content)({"q": vectors[7][None]})
    assert found["i"].shape == (1, 200) and found["i"][0, 0] == 7


def test_the_preference_prior_is_centred_on_warm_shoppers() -> None:
    data = _purchases()
    towers = finished(train_towers(data, _catalogue(), SETTINGS).towers, data)

    prior = towers.preference
    assert prior.mean.shape == (8,) and prior.variances.min() > 0
    assert np.allclose(prior.basis.T @ prior.basis, np.eye(8), atol=1e-4)
    assert 0 < prior.noise_variance < 4  # (1 - cosine) squared


def test_nobody_to_learn_from_gives_towers_all_the_same() -> None:
    empty = Purchases(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), ITEMS)

    towers = finished(train_towers(empty, _catalogue(), SETTINGS).towers, empty)

    assert towers.item_vectors.shape == (ITEMS, 8) and np.isfinite(towers.item_vectors).all()
