"""Traffic follows the counts, once per scheduled moment, whoever runs it and wherever it crashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.config import Snapshot, default_config, snapshot_to_json
from recommender.domain.experiments.running.counts import CellCount
from recommender.errors import Conflict, DependencyDown
from recommender.ports import StreamPosition
from recommender.use_cases.reallocate_traffic import reallocate_traffic
from recommender.use_cases.report_experiment import start_experiment

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
CONFIG = default_config(NOW)


def count(store: MemoryExperimentStore, clicks: Mapping[str, int], *, epoch: int = 1, position: int = 1) -> None:
    """1,000 exposures of each variant in each placement and shard, with these clicks."""
    cells = [
        CellCount(CONFIG.experiment_id, placement, epoch, "all", variant, 1000, clicks[variant], shard)
        for placement in CONFIG.placements
        for variant in CONFIG.variants
        for shard in range(8)
    ]
    after = store.stream_position(consumer="test", shard_id="a")
    store.add_counts(cells, consumer="test", shard_id="a", after=after, upto=StreamPosition(str(position)))


def started() -> MemoryExperimentStore:
    store = MemoryExperimentStore()
    start_experiment(CONFIG, store=store, now=NOW)
    return store


def test_traffic_moves_to_the_variant_with_more_clicks_and_the_control_keeps_up_with_it() -> None:
    store = started()
    count(store, {"cohorts": 18, "hybrid": 24, "hybrid_margin": 18})

    done = reallocate_traffic(at=NOW + DAY, store=store)

    assert done.is_new
    assert done.snapshot is not None
    for weights in done.snapshot.weights[CONFIG.experiment_id].values():
        assert sum(weights) == pytest.approx(1, abs=1e-9)
        assert min(weights) >= CONFIG.floor_share
        assert weights[1] == pytest.approx(0.5 / 1.25, abs=0.01)  # half and half and a quarter, to one
        assert weights[0] == pytest.approx(weights[1], abs=0.01)


def test_without_counts_the_weights_stay_nearly_equal() -> None:
    done = reallocate_traffic(at=NOW + DAY, store=started())

    assert done.snapshot is not None
    assert done.snapshot.weights[CONFIG.experiment_id]["home_hero"] == pytest.approx([1 / 3] * 3, abs=0.03)


def test_the_same_moment_opens_one_epoch() -> None:
    store = started()

    first = reallocate_traffic(at=NOW + DAY, store=store)
    again = reallocate_traffic(at=NOW + DAY, store=store)

    assert (first.is_new, again.is_new) == (True, False)
    assert first.snapshot == again.snapshot
    assert first.snapshot is not None
    assert first.snapshot.epoch == 2


def test_two_stores_with_the_same_counts_reach_the_same_bytes() -> None:
    snapshots = []
    for _ in range(2):
        store = started()
        count(store, {"cohorts": 18, "hybrid": 20, "hybrid_margin": 19})
        snapshots.append(reallocate_traffic(at=NOW + DAY, store=store).snapshot)

    assert snapshots[0] is not None
    assert snapshots[1] is not None
    assert snapshot_to_json(snapshots[0]) == snapshot_to_json(snapshots[1])


def test_a_run_after_a_crash_acts_on_the_posterior_that_was_stored() -> None:
    class CrashesBeforeTheSwap(MemoryExperimentStore):
        crashes = True

        def swap_snapshot(self, snapshot: Snapshot) -> None:
            if snapshot.epoch > 1 and self.crashes:
                raise DependencyDown("killed here")
            super().swap_snapshot(snapshot)

    store = CrashesBeforeTheSwap()
    start_experiment(CONFIG, store=store, now=NOW)
    count(store, {"cohorts": 18, "hybrid": 24, "hybrid_margin": 18})
    with pytest.raises(DependencyDown):
        reallocate_traffic(at=NOW + DAY, store=store)
    store.crashes = False
    count(store, {"cohorts": 0, "hybrid": 0, "hybrid_margin": 50}, position=2)  # late clicks change the picture

    done = reallocate_traffic(at=NOW + DAY, store=store)

    stored = store.posteriors(CONFIG.experiment_id)[0]["placements"]["home_hero"]["next_weights"]
    assert done.snapshot is not None
    assert list(done.snapshot.weights[CONFIG.experiment_id]["home_hero"]) == stored
    assert stored[1] > stored[2]


def test_a_run_that_loses_the_race_reports_the_epoch_of_the_winner() -> None:
    class Raced(MemoryExperimentStore):
        raced = False

        def save_posterior(self, experiment_id: str, epoch: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
            stored = super().save_posterior(experiment_id, epoch, body)
            if not self.raced:
                self.raced = True
                reallocate_traffic(at=NOW + DAY, store=self)
            return stored

    store = Raced()
    start_experiment(CONFIG, store=store, now=NOW)

    done = reallocate_traffic(at=NOW + DAY, store=store)

    assert not done.is_new
    assert done.snapshot is not None
    assert done.snapshot.epoch == 2
    assert len(store.posteriors(CONFIG.experiment_id)) == 1


def test_paused_experiments_keep_their_weights_and_nothing_runs_without_a_snapshot() -> None:
    store = MemoryExperimentStore()
    assert reallocate_traffic(at=NOW, store=store).snapshot is None
    start_experiment(replace(CONFIG, status="paused"), store=store, now=NOW)
    count(store, {"cohorts": 18, "hybrid": 24, "hybrid_margin": 18})

    done = reallocate_traffic(at=NOW + DAY, store=store)

    assert done.snapshot is not None
    assert done.snapshot.weights[CONFIG.experiment_id] == CONFIG.uniform_weights()
    assert store.posteriors(CONFIG.experiment_id) == []


def test_every_reallocation_has_one_audit_entry_even_after_a_crash_behind_the_swap() -> None:
    class CrashesAfterTheSwap(MemoryExperimentStore):
        crashes = False

        def append_audit(self, experiment_id: str, moment: str, entry: Mapping[str, Any]) -> None:
            if self.crashes:
                raise DependencyDown("killed here")
            super().append_audit(experiment_id, moment, entry)

    store = CrashesAfterTheSwap()
    start_experiment(CONFIG, store=store, now=NOW)
    store.crashes = True
    with pytest.raises(DependencyDown):
        reallocate_traffic(at=NOW + DAY, store=store)
    store.crashes = False

    reallocate_traffic(at=NOW + DAY, store=store)

    entries = [entry for (_, moment), entry in store.audit.items() if moment == (NOW + DAY).isoformat()]
    assert entries == [{"action": "reallocate", "epoch": 2, "version": 1}]


def test_starting_an_experiment_twice_changes_nothing() -> None:
    store = started()
    before = store.load_snapshot()

    after = start_experiment(CONFIG, store=store, now=NOW + DAY)

    assert after == before


def test_a_start_that_always_loses_its_race_says_so() -> None:
    class Losing(MemoryExperimentStore):
        def swap_snapshot(self, snapshot: Snapshot) -> None:
            raise Conflict("another epoch was first")

    with pytest.raises(Conflict):
        start_experiment(CONFIG, store=Losing(), now=NOW)
