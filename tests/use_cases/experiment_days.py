"""Experiments lived through day by day: seeded visits counted into a store, and the epoch job after each day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.assignment import live_weights
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, default_config
from recommender.domain.experiments.running.counts import CellCount
from recommender.ports import StreamPosition
from recommender.use_cases.reallocate_traffic import reallocate_traffic
from recommender.use_cases.report_experiment import start_experiment

START = datetime(2026, 11, 2, tzinfo=UTC)
CONFIG = default_config(START)
CLICK_RATE = 0.018
PER_DAY = 17_118  # exposures of a placement in a day: 28 days of a fixed test at +10 %
SEGMENTS: Mapping[str, float] = {"prior": 0.28, "session": 0.42, "user": 0.3}


def lived(
    config: ExperimentConfig,
    days: int,
    *,
    lifts: Mapping[str, float],
    seed: int = 1,
    per_day: int = PER_DAY,
    seen: Mapping[str, float] | None = None,
) -> MemoryExperimentStore:
    """A store after so many days; `lifts` are true relative lifts, `seen` the share of exposures that arrive."""
    store, rng = MemoryExperimentStore(), np.random.default_rng(seed)
    start_experiment(config, store=store, now=START)
    for day in range(days):
        snapshot = store.load_snapshot()
        assert snapshot is not None
        cells = [
            cell
            for placement in config.placements
            for cell in _day(
                config, placement, snapshot.epoch, snapshot.weights[config.experiment_id][placement], lifts,
                rng=rng, per_day=per_day, seen=seen or {},
            )
        ]  # fmt: skip
        add(store, cells)
        reallocate_traffic(at=START + timedelta(days=day + 1), store=store)
    return store


def day_of(
    config: ExperimentConfig,
    snapshot: Snapshot,
    lifts: Mapping[str, float],
    *,
    seed: int,
    per_day: int,
    seen: Mapping[str, float] | None = None,
) -> list[CellCount]:
    """One day's counts of every placement under the weights that are live in this snapshot."""
    rng = np.random.default_rng(seed)
    return [
        cell
        for placement in config.placements
        for cell in _day(
            config, placement, snapshot.epoch, live_weights(snapshot, config, placement), lifts,
            rng=rng, per_day=per_day, seen=seen or {},
        )
    ]  # fmt: skip


def add(store: MemoryExperimentStore, cells: Sequence[CellCount]) -> None:
    """Count cells as the stream consumer does."""
    after = store.stream_position(consumer="test", shard_id="a")
    upto = StreamPosition(str(int(after.sequence or 0) + 1))
    store.add_counts(cells, consumer="test", shard_id="a", after=after, upto=upto)


def _day(
    config: ExperimentConfig,
    placement: str,
    epoch: int,
    weights: Sequence[float],
    lifts: Mapping[str, float],
    *,
    rng: np.random.Generator,
    per_day: int,
    seen: Mapping[str, float],
) -> list[CellCount]:
    """One day of a placement: Poisson exposures by segment, variant and shard, binomial clicks."""
    held = config.holdout_share
    groups = [(name, 1 - held, share) for name, share in SEGMENTS.items()]
    cells = []
    for segment, part, portion in [*groups, ("holdout", held, 1.0)]:
        for variant, weight in zip(config.variants, weights, strict=True):
            share = portion * (weight if segment != "holdout" else float(variant == config.control))
            rate = CLICK_RATE * (1 + lifts.get(variant, 0.0))
            for shard, exposures in enumerate(
                rng.poisson(per_day * part * share * seen.get(variant, 1.0) / 8, size=8).tolist()
            ):
                if exposures:
                    clicks = int(rng.binomial(exposures, rate))
                    at = (config.experiment_id, placement, epoch, segment, variant)
                    cells.append(CellCount(*at, exposures, clicks, shard))
    return cells
