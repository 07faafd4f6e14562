"""The counts of an experiment with placement and epoch as strata, apart for each segment.

What concerns all placements at once, such as the hold-out, is compared within strata: neither the traffic of a day
nor the click rate of a placement can favour a side.
Letters: G segments, L strata (placement x epoch), K variants (control first), S counter shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.contracts.tables import COUNTER_SHARDS
from recommender.domain.arrays import Counts
from recommender.domain.experiments.config import ExperimentConfig
from recommender.domain.experiments.counts import HOLDOUT, CellCount
from recommender.domain.experiments.tally import Tally


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
