"""What the next-item network is told of items: popularity, trend and repeats, counted from sequences.

Letters: I items, S sequences.
"""

from __future__ import annotations

import numpy as np
from recommender.domain.arrays import Counts, Doubles, Floats, Rows
from recommender.domain.next_item_features import ItemFacts
from recommender.domain.prior import decay

from training_jobs.session_ranker.encoder_training import Sequences

LONG_RUN_DAYS = 60.0  # half-lives of the two rates
TREND_DAYS = 5.0
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
    return ItemFacts(
        log_share=np.log(smoothed / smoothed.sum()).astype(np.float32),
        trend=_log_ratio(_rate(items, ages, TREND_DAYS, count_items), long_run),
        repeat_log_odds=_repeat_log_odds(sequences, counts),
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
