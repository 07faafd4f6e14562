"""From exports to towers where the exports are poor: no purchases, no text, one category, one item over and over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import torch

from tests.training.small_exports import small_exports
from training_jobs.exports import Exports
from training_jobs.two_tower.fitting import fit_early, tower_data
from training_jobs.two_tower.towers import finished
from training_jobs.two_tower.training import TowerSettings

ITEMS = 12
CONTENT = np.random.default_rng(0).normal(size=(ITEMS, 8)).astype(np.float32)
NO_TEXT = np.zeros((ITEMS, 8), np.float32)


def _without_purchases(exports: Exports) -> Exports:
    return replace(exports, purchases=exports.purchases.head(0))


def _purchases_only_later(exports: Exports) -> Exports:
    late = pl.lit(exports.data_until - timedelta(days=1)).cast(pl.Datetime("us"))
    return replace(exports, purchases=exports.purchases.with_columns(late.alias("purchased_at")))


def _one_category(exports: Exports) -> Exports:
    return replace(exports, items=exports.items.with_columns(pl.lit("Food").alias("category")))


def _one_item_a_thousand_times(exports: Exports) -> Exports:
    line = exports.purchases.head(1)
    orders = [line.with_columns(pl.lit(f"o-{n}").alias("order_id")) for n in range(1000)]
    return replace(exports, purchases=pl.concat(orders))


@pytest.mark.parametrize(
    ("change", "content", "lines"),
    [
        (lambda exports: exports, CONTENT, 52),
        (lambda exports: exports, NO_TEXT, 52),
        (_one_category, CONTENT, 52),
        (_without_purchases, CONTENT, 0),
        (_purchases_only_later, CONTENT, 0),
        (_one_item_a_thousand_times, CONTENT, 1000),
    ],
    ids=["as it is", "no text", "one category", "no purchases", "purchases only later", "one item"],
)
def test_poor_exports_give_towers_all_the_same(
    change: Callable[[Exports], Exports], content: np.ndarray, lines: int
) -> None:
    torch.set_num_threads(1)
    exports = change(small_exports())
    until = exports.data_until - timedelta(days=7)

    data = tower_data(exports, until=until, content_vectors=content, content_rows=np.arange(ITEMS, dtype=np.int32))
    trained = fit_early(exports, data, TowerSettings(most_steps=4), until=until, tail_until=exports.data_until)
    towers = finished(trained.towers, data.purchases)

    assert len(data.purchases.timeline.items) == lines
    assert np.isfinite(towers.item_vectors).all() and np.isfinite(towers.preference.variances).all()
