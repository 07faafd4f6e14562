"""What the next-item network is told of items: popularity, trends, repeats, followers; counted from sequences.

Letters: I items, S sequences, N their clicks, P pairs of clicks of one sequence.
"""

from __future__ import annotations

import numpy as np
from recommender.domain.arrays import Counts, Doubles, Floats, Rows
from recommender.domain.next_item_features import ItemFacts
from recommender.domain.prior import decay

from training_jobs.session_ranker.encoder_training import Sequences

FARTHEST = 5  # clicks between an item and its follower
KEPT = 64  # followers of an item
LONG_RUN_DAYS = 60.0  # half-lives
TREND_DAYS = 5.0
SURGE_DAYS = 2.0
TREND_EVIDENCE = 1.0  # pseudo-counts, per mean item and month
MONTH_DAYS = 30.0
REPEAT_EVIDENCE = 10.0


def count_facts(sequences: Sequences, days: Doubles, *, count_items: int, now_days: float) -> ItemFacts:
    """The facts of all items as of `now_days`; sequences ended on `days` (S,)."""
    items = sequences.items
    counts = np.bincount(items, minlength=count_items)  # (I,)
    smoothed = counts + 0.5
    ages = np.maximum(now_days - np.repeat(days, np.diff(sequences.offsets)), 0.0)
    long_run = _rate(items, ages, LONG_RUN_DAYS, count_items)
    offsets, followers, weights = _followers(sequences, count_items)
    return ItemFacts(
        log_share=np.log(smoothed / smoothed.sum()).astype(np.float32),
        trend=_log_ratio(_rate(items, ages, TREND_DAYS, count_items), long_run),
        surge=_log_ratio(_rate(items, ages, SURGE_DAYS, count_items), long_run),
        repeat_log_odds=_repeat_log_odds(sequences, counts),
        follower_offsets=offsets,
        follower_items=followers,
        follower_weights=weights,
    )


def _rate(items: Rows, ages: Doubles, half_life: float, count_items: int) -> Doubles:
    """(I,) clicks as if the faded ones were all that a month has: rates of different half-lives compare."""
    faded = np.bincount(items, decay(ages, half_life_days=half_life), minlength=count_items)
    monthly = len(items) * MONTH_DAYS / max(float(ages.max(initial=0.0)), MONTH_DAYS)
    return faded / max(float(faded.sum()), 1e-9) * monthly


def _log_ratio(rate: Doubles, long_run: Doubles) -> Floats:
    ratio: Floats = np.log((rate + TREND_EVIDENCE) / (long_run + TREND_EVIDENCE)).astype(np.float32)
    return ratio


def _repeat_log_odds(sequences: Sequences, counts: Counts) -> Floats:
    """(I,) log odds that a click on the item is not its first in the sequence, shrunk to the mean over items."""
    of_sequence = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    _, first = np.unique(of_sequence * len(counts) + sequences.items, return_index=True)
    repeats = counts - np.bincount(sequences.items[first], minlength=len(counts))
    mean = (repeats.sum() + 0.5) / (counts.sum() + 1.0)
    share = (repeats + REPEAT_EVIDENCE * mean) / (counts + REPEAT_EVIDENCE)
    odds: Floats = np.log(share / (1.0 - share)).astype(np.float32)
    return odds


def _followers(sequences: Sequences, count_items: int) -> tuple[Counts, Rows, Floats]:
    """Offsets (I + 1,), the KEPT heaviest followers of each item by row, and their weights: sum of 1 / distance."""
    items = sequences.items.astype(np.int64)
    of_sequence = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    keys, weights = [np.empty(0, np.int64)], [np.empty(0)]
    for distance in range(1, FARTHEST + 1):
        same = of_sequence[distance:] == of_sequence[:-distance]
        keys.append(items[:-distance][same] * count_items + items[distance:][same])
        weights.append(np.full(int(same.sum()), 1.0 / distance))
    pairs, place = np.unique(np.concatenate(keys), return_inverse=True)  # (P,)
    weight = np.bincount(place, np.concatenate(weights), minlength=len(pairs))
    before, after = pairs // count_items, pairs % count_items
    starts = np.concatenate([[0], np.cumsum(np.bincount(before, minlength=count_items))])
    heaviest = np.lexsort((after, -weight, before))
    rank = np.empty(len(pairs), np.int64)
    rank[heaviest] = np.arange(len(pairs)) - starts[before[heaviest]]
    kept = rank < KEPT
    offsets = np.concatenate([[0], np.cumsum(np.bincount(before[kept], minlength=count_items))])
    return offsets.astype(np.int64), after[kept].astype(np.int32), weight[kept].astype(np.float32)
