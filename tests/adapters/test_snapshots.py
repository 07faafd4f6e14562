"""The cached snapshot: no read while warm, never older than its time to live, the last good one in an outage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from recommender.adapters.snapshots import CachedSnapshots
from recommender.domain.experiments.running.config import NO_EXPERIMENTS, Snapshot, default_config, first_snapshot
from recommender.errors import DependencyDown

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FIRST = first_snapshot(default_config(NOW), NOW)
SECOND = replace(FIRST, epoch=2)
TTL = 10.0


class Bench:
    """A cache over a store, a clock and a background that the test moves."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.stored: Snapshot | DependencyDown | None = FIRST
        self.reads = 0
        self.failures: list[DependencyDown] = []
        self.background: list[Callable[[], None]] = []
        self.cache = CachedSnapshots(
            self._load,
            ttl_seconds=TTL,
            on_failure=self.failures.append,
            clock=lambda: self.time,
            start=self.background.append,
        )

    def _load(self) -> Snapshot | None:
        self.reads += 1
        if isinstance(self.stored, DependencyDown):
            raise self.stored
        return self.stored


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_warm_cache_reads_nothing(bench: Bench) -> None:
    assert all(bench.cache.current() is FIRST for _ in range(100))
    assert bench.reads == 1


def test_past_half_its_life_the_old_snapshot_serves_while_one_reader_fetches_the_new(bench: Bench) -> None:
    bench.cache.current()
    bench.stored = SECOND
    bench.time += TTL * 0.6

    assert [bench.cache.current(), bench.cache.current()] == [FIRST, FIRST]
    assert len(bench.background) == 1
    bench.background[0]()
    assert bench.cache.current() is SECOND


def test_a_process_that_slept_past_the_time_to_live_waits_for_the_new_snapshot(bench: Bench) -> None:
    bench.cache.current()
    bench.stored = SECOND
    bench.time += 100 * TTL

    assert bench.cache.current() is SECOND


def test_when_the_store_fails_the_last_good_snapshot_serves_and_the_store_is_left_alone_for_a_while(
    bench: Bench,
) -> None:
    bench.cache.current()
    bench.stored = DependencyDown("no answer")
    bench.time += 2 * TTL

    assert all(bench.cache.current() is FIRST for _ in range(50))
    assert bench.reads == 2
    assert len(bench.failures) == 1

    bench.stored = SECOND
    bench.time += TTL
    assert bench.cache.current() is SECOND


def test_a_store_that_never_answered_gives_none_and_is_tried_again(bench: Bench) -> None:
    bench.stored = DependencyDown("no answer")

    assert [bench.cache.current(), bench.cache.current()] == [None, None]
    assert bench.reads == 1

    bench.stored = FIRST
    bench.time += TTL
    assert bench.cache.current() is FIRST


def test_a_store_without_experiments_gives_an_empty_snapshot(bench: Bench) -> None:
    bench.stored = None

    assert bench.cache.current() == NO_EXPERIMENTS


def test_the_background_thread_refreshes_by_itself() -> None:
    stored = [FIRST, SECOND]
    time = [0.0]
    threads: list[Callable[[], None]] = []
    cache = CachedSnapshots(lambda: stored.pop(0), ttl_seconds=TTL, clock=lambda: time[0], start=threads.append)
    cache.current()
    time[0] = 6.0
    cache.current()

    threads[0]()

    assert cache.current() is SECOND
