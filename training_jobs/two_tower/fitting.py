"""Fits towers from exports: counts up to a moment, training, and a metric on the tail after it.

The metric is Recall@20 by cosine over the full catalogue, the mean of two: on all purchases, and on first purchases
with the owned items left out of the lists. Letters: I items, D width, U shoppers of the tail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats, Rows

from training_jobs.counting.catalogue import in_row_order, item_table
from training_jobs.counting.lines import bought_between, build_histories, days_since_epoch, read_lines
from training_jobs.exports import Exports
from training_jobs.metrics import best_rows, recall
from training_jobs.two_tower.data import Catalogue, Purchases, catalogue, purchases
from training_jobs.two_tower.model import TwoTower, UserTower
from training_jobs.two_tower.processes import ALONE, Processes
from training_jobs.two_tower.towers import as_function, tower_feed
from training_jobs.two_tower.training import Checkpoints, TowerSettings, Trained, train_towers

TAIL_SHOPPERS = 400
NOTHING: Rows = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class TowerData:
    """The training data as of a moment."""

    purchases: Purchases
    catalogue: Catalogue
    shopper_ids: tuple[str, ...]


def tower_data(
    exports: Exports, *, until: datetime, content_vectors: Floats, content_rows: NDArray[np.integer]
) -> TowerData:
    """Count the time before `until`; `content_vectors` (T, C), `content_rows` (I,)."""
    lines = read_lines(exports, until=until)
    items = in_row_order(exports.items)
    table = item_table(items, lines, content_rows)
    now_days = days_since_epoch(until)
    histories = build_histories(lines, exports.item_ids)
    return TowerData(
        purchases=purchases(histories, lines, now_days=now_days, count_items=items.height),
        catalogue=catalogue(table, content_vectors),
        shopper_ids=lines.shopper_ids,
    )


def tail_measure(data: TowerData, bought: dict[int, NDArray[np.int32]], *, seed: int) -> Callable[[TwoTower], float]:
    """Recall@20 of towers on the purchases of a sample of shoppers; `bought`: shopper number -> (N,) rows."""
    shoppers = np.array(sorted(bought))
    if len(shoppers) > TAIL_SHOPPERS:
        shoppers = np.sort(np.random.default_rng(seed).choice(shoppers, TAIL_SHOPPERS, replace=False))

    def measure(model: TwoTower) -> float:
        user = UserTower(model).eval()
        run, vectors = as_function(user), user.vectors.numpy()
        of_all, of_new = [], []
        for shopper in shoppers.tolist():
            scores = vectors @ run(tower_feed(data.purchases, shopper))["user_vec"][0]
            owned = data.purchases.items[data.purchases.of(shopper)]
            fresh = np.setdiff1d(bought[shopper], owned)
            of_all.append(recall(best_rows(scores, NOTHING), bought[shopper]))
            if len(fresh):
                of_new.append(recall(best_rows(scores, owned), fresh))
        return float(np.mean([np.mean(found) for found in (of_all, of_new) if found]))

    return measure


def fit_early(
    exports: Exports,
    data: TowerData,
    settings: TowerSettings,
    *,
    until: datetime,
    tail_until: datetime,
    checkpoints: Checkpoints | None = None,
    processes: Processes = ALONE,
) -> Trained:
    """Train on the time before `until`, stopped by the purchases from there to `tail_until`."""
    later = bought_between(exports, until, tail_until)
    bought = {
        number: later.targets(shopper_id)
        for number, shopper_id in enumerate(data.shopper_ids)
        if shopper_id in later.by_shopper
    }
    measure = tail_measure(data, bought, seed=settings.seed) if bought else None
    return train_towers(
        data.purchases, data.catalogue, settings, measure=measure, checkpoints=checkpoints, processes=processes
    )
