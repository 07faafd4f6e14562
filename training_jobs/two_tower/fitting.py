"""From exports to towers: counts up to a moment, train, and measure on the tail after it.

The measure is Recall@20 of items new to the shopper over the full catalogue, scored by cosine / temperature plus the
log of recent popularity: what the towers add to popularity is what they are kept for.
Letters: I items, D width, U shoppers of the tail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Floats

from training_jobs.exports import Exports
from training_jobs.metrics import best_rows, recall
from training_jobs.session_ranker.catalogue import in_row_order, item_table
from training_jobs.session_ranker.histories import build_histories
from training_jobs.session_ranker.lines import days_since_epoch, read_lines
from training_jobs.two_tower.checkpoints import Checkpoints
from training_jobs.two_tower.data import Catalogue, Purchases, catalogue, purchases
from training_jobs.two_tower.model import TwoTower, UserTower
from training_jobs.two_tower.processes import ALONE, Processes
from training_jobs.two_tower.towers import as_function, heaviest
from training_jobs.two_tower.training import TowerSettings, Trained, train_towers

TAIL_SHOPPERS = 400
PRIOR_HALF_LIFE_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class TowerData:
    """All that training reads, as of a moment."""

    purchases: Purchases
    catalogue: Catalogue
    shopper_ids: tuple[str, ...]
    log_prior: Floats  # (I,)


def tower_data(
    exports: Exports, *, until: datetime, content_vectors: Floats, content_rows: NDArray[np.integer]
) -> TowerData:
    """Count what happened before `until`."""
    lines = read_lines(exports, until=until)
    items = in_row_order(exports.items)
    table = item_table(items, lines, content_rows)
    now_days = days_since_epoch(until)
    histories = build_histories(lines, exports.item_ids)
    faded = np.exp2(-(now_days - lines.days) / PRIOR_HALF_LIFE_DAYS)
    counts = np.bincount(lines.item, weights=faded, minlength=items.height) + 0.1
    return TowerData(
        purchases=purchases(histories, lines, now_days=now_days, count_items=items.height),
        catalogue=catalogue(table, content_vectors),
        shopper_ids=lines.shopper_ids,
        log_prior=np.log(counts / counts.sum()).astype(np.float32),
    )


def new_items(exports: Exports, data: TowerData, *, start: datetime, end: datetime) -> dict[int, NDArray[np.int32]]:
    """Shopper number -> the rows bought in [start, end) that the shopper had not bought before."""
    lines = read_lines(exports, until=end)
    after = lines.days >= days_since_epoch(start)
    numbers = {shopper_id: number for number, shopper_id in enumerate(data.shopper_ids)}
    number = np.array([numbers.get(shopper_id, -1) for shopper_id in lines.shopper_ids], np.int64)[lines.shopper[after]]
    rows = lines.item[after]
    order = np.argsort(number, kind="stable")
    number, rows = number[order], rows[order]
    found = {}
    for shopper in np.unique(number[number >= 0]):
        span = slice(*np.searchsorted(number, [shopper, shopper + 1]))
        fresh = np.setdiff1d(rows[span], data.purchases.items[data.purchases.of(int(shopper))])
        if len(fresh):
            found[int(shopper)] = fresh
    return found


def tail_measure(
    data: TowerData, targets: dict[int, NDArray[np.int32]], *, temperature: float, seed: int
) -> Callable[[TwoTower], float]:
    """How well towers foresee `targets`; a sample of the shoppers is asked."""
    shoppers = np.array(sorted(targets))
    if len(shoppers) > TAIL_SHOPPERS:
        shoppers = np.sort(np.random.default_rng(seed).choice(shoppers, TAIL_SHOPPERS, replace=False))

    def measure(model: TwoTower) -> float:
        user = UserTower(model).eval()
        run, vectors = as_function(user), user.vectors.numpy()
        found = []
        for shopper in shoppers.tolist():
            rows, weights = heaviest(data.purchases, shopper)
            vector = run({"history": rows[None].astype(np.int64), "weights": weights[None]})["user_vec"][0]
            scores = vectors @ vector / temperature + data.log_prior
            listed = best_rows(scores, data.purchases.items[data.purchases.of(shopper)])
            found.append(recall(listed, targets[shopper]))
        return float(np.mean(found)) if found else 0.0

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
    """Train on what happened before `until`, stopped by what happened from there to `tail_until`."""
    targets = new_items(exports, data, start=until, end=tail_until)
    measure = tail_measure(data, targets, temperature=settings.temperature, seed=settings.seed) if targets else None
    return train_towers(
        data.purchases, data.catalogue, settings, measure=measure, checkpoints=checkpoints, processes=processes
    )
