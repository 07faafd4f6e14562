"""The counts of an experiment as arrays, and how much repeat visits inflate their variance.

Letters: P placements, T epochs, K variants (control first), S counter shards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recommender.contracts.tables import COUNTER_SHARDS
from recommender.domain.arrays import Counts, Doubles
from recommender.domain.experiments.config import ExperimentConfig
from recommender.domain.experiments.counts import HOLDOUT, CellCount


@dataclass(frozen=True, slots=True)
class Tally:
    """Exposures and clicks of one segment, or of several together."""

    epochs: tuple[int, ...]
    exposures: Counts  # (P, T, K, S)
    clicks: Counts  # (P, T, K, S)


def tally(config: ExperimentConfig, cells: Iterable[CellCount], *, segment: str | None = None) -> Tally:
    """The cells of one segment, or of all but the hold-out, by the placements and variants of the configuration.

    Cells of placements or variants that the configuration no longer has are left out.
    """
    place = {name: p for p, name in enumerate(config.placements)}
    variant = {name: k for k, name in enumerate(config.variants)}
    kept = [
        cell
        for cell in cells
        if (cell.segment == segment if segment else cell.segment != HOLDOUT)
        and cell.placement in place
        and cell.variant in variant
    ]
    epochs = tuple(sorted({cell.epoch for cell in kept}))
    row = {epoch: t for t, epoch in enumerate(epochs)}
    exposures = np.zeros((len(place), len(epochs), len(variant), COUNTER_SHARDS), np.int64)
    clicks = np.zeros_like(exposures)
    for cell in kept:
        at = (place[cell.placement], row[cell.epoch], variant[cell.variant], cell.shard)
        exposures[at] += cell.exposures
        clicks[at] += cell.clicks
    return Tally(epochs, exposures, clicks)


def design_effect(counts: Tally) -> float:
    """How many times larger the variance of clicks is than if every exposure were a shopper of its own; >= 1.

    The shards of a cell are independent groups of shoppers. Given a cell's clicks c_t in each epoch, they
    would fall on the shards in proportion q_ts of its exposures; R_s = sum_t (c_ts - c_t q_ts) then has
    variance sum_t c_t q_ts (1 - q_ts), and the ratio of the squares to it is the design effect.
    """
    share = _shares(counts.exposures)  # (P, T, K, S)
    clicks = counts.clicks.sum(axis=3, keepdims=True)  # (P, T, K, 1)
    return _dispersion(counts.clicks - clicks * share, clicks * share * (1 - share))


def exposure_clumping(counts: Tally) -> float:
    """The same for exposures, which repeat visits of sticky shoppers carry in clumps into one variant; >= 1.

    A variant's exposures n_k would fall on the shards in proportion q_s of all exposures of the epoch, with
    hypergeometric variance n_k (1 - n_k / n) q_s (1 - q_s). A split that is off in every shard alike,
    the mismatch itself, does not enter.
    """
    all_variants = counts.exposures.sum(axis=2, keepdims=True)  # (P, T, 1, S)
    share = _shares(all_variants)
    exposures = counts.exposures.sum(axis=3, keepdims=True)  # (P, T, K, 1)
    others = 1 - _shares(exposures, axis=2)  # (P, T, K, 1): share of the other variants
    return _dispersion(counts.exposures - exposures * share, exposures * others * share * (1 - share))


def split_clumping(config: ExperimentConfig, counts: Tally) -> float:
    """`exposure_clumping`; of a canary, which is assigned by page, that of the sums over placements.

    There one shopper brings the exposures of all placements at once, and cells apart would not show it.
    """
    if config.mode == "test":
        return exposure_clumping(counts)
    pages = Tally(counts.epochs, counts.exposures.sum(axis=0, keepdims=True), counts.clicks.sum(axis=0, keepdims=True))
    return exposure_clumping(pages)


def _shares(values: Counts, *, axis: int = 3) -> Doubles:
    """Each value over its sum along the axis; 0 where the sum is 0."""
    whole = values.astype(float)
    total = whole.sum(axis=axis, keepdims=True)
    shares: Doubles = np.divide(whole, total, out=np.zeros_like(whole), where=total > 0)
    return shares


def _dispersion(residuals: Doubles, variances: Doubles) -> float:
    """Observed over expected squares of the residuals (P, T, K, S), summed over epochs first; at least 1."""
    expected = float(variances.sum())
    return max(1.0, float((residuals.sum(axis=1) ** 2).sum()) / expected) if expected > 0 else 1.0
