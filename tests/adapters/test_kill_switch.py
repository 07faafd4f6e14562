"""A kill reaches every process within the snapshot's time to live, whenever it asks, and costs hardly a read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.adapters.snapshots import CachedSnapshots
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import Snapshot, default_config, first_snapshot

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)
TTL = 10.0
FLAGS = ("exp_default", "exp_default/hybrid", "exp_default/home_hero")


class Process:
    """A serving process with a clock to be set; the background refresh is done by the time of its next request."""

    def __init__(self, store: MemoryExperimentStore) -> None:
        self.seconds, self.count_reads = 0.0, 0
        self._store = store
        self._waiting: list[Callable[[], None]] = []
        self.snapshots = CachedSnapshots(
            self._load, ttl_seconds=TTL, clock=lambda: self.seconds, start=self._waiting.append
        )

    def _load(self) -> Snapshot | None:
        self.count_reads += 1
        return self._store.load_snapshot()

    def served(self, seconds: float) -> set[str]:
        """The variants that a hundred visitors see in one placement at this time."""
        self.seconds = seconds
        snapshot = self.snapshots.current()
        for refresh in self._waiting:
            refresh()
        self._waiting.clear()
        return {assign(snapshot, f"v_{n}", "home_hero").variant for n in range(100)}


@given(
    gaps=st.lists(st.floats(0.01, 40.0), min_size=1, max_size=25),
    killed_at=st.floats(0.0, 60.0),
    flag=st.sampled_from(FLAGS),
)
@settings(max_examples=60, deadline=None)
def test_after_the_time_to_live_nobody_sees_what_was_killed(gaps: list[float], killed_at: float, flag: str) -> None:
    store = MemoryExperimentStore()
    snapshot = first_snapshot(CONFIG, NOW)
    store.swap_snapshot(snapshot)
    process, seconds, is_killed = Process(store), 0.0, False

    for gap in gaps:
        seconds += gap
        if seconds >= killed_at and not is_killed:
            store.swap_snapshot(replace(snapshot, epoch=2, killed=frozenset({flag})))
            is_killed = True
        served = process.served(seconds)
        if is_killed and seconds >= killed_at + TTL:
            assert "hybrid" not in served
        elif not is_killed:
            assert served == set(CONFIG.variants)

    assert process.count_reads <= 1 + seconds / (TTL / 2)


def test_a_warm_process_assigns_all_placements_without_a_read() -> None:
    store = MemoryExperimentStore()
    store.swap_snapshot(first_snapshot(CONFIG, NOW))
    process = Process(store)
    process.served(0.0)

    for _ in range(1000):
        process.served(TTL / 4)

    assert process.count_reads == 1
