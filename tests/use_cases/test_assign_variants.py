"""Assignments come from the snapshot alone, in half a millisecond for a page of twelve placements."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from recommender.domain.experiments.running.config import Snapshot, default_config, first_snapshot
from recommender.use_cases.assign_variants import assign_variants

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)


@dataclass
class Fixed:
    snapshot: Snapshot | None

    def current(self) -> Snapshot | None:
        return self.snapshot


def test_every_placement_gets_a_variant_of_the_experiment() -> None:
    assigned = assign_variants("v_1", CONFIG.placements, snapshots=Fixed(first_snapshot(CONFIG, NOW)))

    assert not assigned.degraded
    assert tuple(assigned.by_placement) == CONFIG.placements
    assert {one.variant for one in assigned.by_placement.values()} <= set(CONFIG.variants)


def test_while_no_snapshot_can_be_read_everyone_sees_the_incumbent_and_nothing_is_counted() -> None:
    assigned = assign_variants("v_1", CONFIG.placements, snapshots=Fixed(None))

    assert assigned.degraded
    assert {(one.variant, one.experiment_id) for one in assigned.by_placement.values()} == {("cohorts", "")}


def test_twelve_placements_take_at_most_half_a_millisecond_of_processor_time() -> None:
    snapshots = Fixed(first_snapshot(CONFIG, NOW))
    started = time.process_time()

    for n in range(400):
        assign_variants(f"v_{n}", CONFIG.placements, snapshots=snapshots)

    assert (time.process_time() - started) / 400 <= 0.0005
