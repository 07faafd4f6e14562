"""The counts of an experiment as arrays, and how much repeat visits inflate their variance.

Letters: P placements, T epochs, K variants (control first), S counter shards.

The counts of an experiment with placement and epoch as strata, apart for each segment.

What concerns all placements at once, such as the hold-out, is compared within strata: neither the traffic of a day
nor the click rate of a placement can favour a side.
Letters: G segments, L strata (placement x epoch), K variants (control first), S counter shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.contracts.tables import COUNTER_SHARDS
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.experiments.running.counts import HOLDOUT, CellCount
from recommender.domain.models.arrays import Counts, Doubles


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
    """Estimate the variance of clicks relative to one shopper an exposure; >= 1.

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


@dataclass(frozen=True, slots=True)
class StratifiedCounts:
    """Exposures and clicks by segment and stratum; the hold-out stands by itself."""

    segments: tuple[str, ...]  # without the hold-out
    exposures: Counts  # (G, L, K, S)
    clicks: Counts  # (G, L, K, S)
    held_exposures: Counts  # (L, S)
    held_clicks: Counts  # (L, S)

    def against_holdout(self, variant: int | None = None) -> Tally:
        """One comparison (1, L, 2, S): the hold-out, and everybody else or those who saw one variant."""
        exposures, clicks = self.exposures.sum(axis=0), self.clicks.sum(axis=0)  # (L, K, S)
        picked = slice(None) if variant is None else slice(variant, variant + 1)
        return Tally(
            (),
            np.stack([self.held_exposures, exposures[:, picked].sum(axis=1)], axis=1)[None],
            np.stack([self.held_clicks, clicks[:, picked].sum(axis=1)], axis=1)[None],
        )

    def by_segment(self) -> Tally:
        """Segments in the place of placements: (G, L, K, S)."""
        return Tally((), self.exposures, self.clicks)


def stratified(config: ExperimentConfig, cells: Sequence[CellCount]) -> StratifiedCounts:
    """The cells of the configuration's placements and variants, in one pass."""
    kept = [cell for cell in cells if cell.placement in config.placements and cell.variant in config.variants]
    variant = {name: k for k, name in enumerate(config.variants)}
    stratum = {key: n for n, key in enumerate(sorted({(cell.placement, cell.epoch) for cell in kept}))}
    segments = sorted({cell.segment for cell in kept} - {HOLDOUT})
    row = {segment: g for g, segment in enumerate([*segments, HOLDOUT])}
    exposures = np.zeros((len(row), len(stratum), len(variant), COUNTER_SHARDS), np.int64)  # the hold-out last
    clicks = np.zeros_like(exposures)
    for cell in kept:
        at = (row[cell.segment], stratum[cell.placement, cell.epoch], variant[cell.variant], cell.shard)
        exposures[at] += cell.exposures
        clicks[at] += cell.clicks
    held = exposures[-1].sum(axis=1), clicks[-1].sum(axis=1)
    return StratifiedCounts(tuple(segments), exposures[:-1], clicks[:-1], *held)
