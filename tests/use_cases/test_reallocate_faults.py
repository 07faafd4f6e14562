"""An epoch job may die at any write, run twice or meet another: the bytes are the same. It ends harm by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import Snapshot, default_config, snapshot_to_json
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.design import Design
from recommender.domain.experiments.running.shop_counts import ShopCount
from recommender.errors import DependencyDown
from recommender.ports import StreamPosition
from recommender.use_cases.reallocate_traffic import JOB, LEASE_SECONDS, Lease, reallocate_traffic
from recommender.use_cases.report_experiment import start_experiment

NOW = datetime(2026, 11, 2, tzinfo=UTC)
DAY = timedelta(days=1)
EVERYWHERE = default_config(NOW)
DESIGN = Design(boundary=2.0, standardised=False)  # any constant: what is decided matters here, not how often wrongly
FIRST = replace(EVERYWHERE, experiment_id="exp_a", placements=EVERYWHERE.placements[:2], design=DESIGN)
SECOND = replace(FIRST, experiment_id="exp_b", placements=EVERYWHERE.placements[2:4])
AT = NOW + 14 * DAY


class Exploding(MemoryExperimentStore):
    """Dies at its n-th write, before or after the write itself; every method that writes goes through `_write`."""

    def __init__(self) -> None:
        super().__init__()
        self.dies_at: int | None = None
        self.dies_after = False
        self.count_writes = 0

    def _write(self, write: Callable[[], Any]) -> Any:
        self.count_writes += 1
        dies = self.count_writes == self.dies_at
        if dies and not self.dies_after:
            raise DependencyDown("killed before the write")
        done = write()
        if dies:
            raise DependencyDown("killed after the write")
        return done

    def save_posterior(self, experiment_id: str, epoch: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
        stored: Mapping[str, Any] = self._write(
            lambda: super(Exploding, self).save_posterior(experiment_id, epoch, body)
        )
        return stored

    def swap_snapshot(self, snapshot: Snapshot) -> None:
        self._write(lambda: super(Exploding, self).swap_snapshot(snapshot))

    def append_audit(self, experiment_id: str, moment: str, entry: Mapping[str, Any]) -> None:
        self._write(lambda: super(Exploding, self).append_audit(experiment_id, moment, entry))

    def take_lease(self, name: str, holder: str, *, now: datetime, seconds: int) -> bool:
        taken: bool = self._write(lambda: super(Exploding, self).take_lease(name, holder, now=now, seconds=seconds))
        return taken

    def end_lease(self, name: str, holder: str) -> None:
        self._write(lambda: super(Exploding, self).end_lease(name, holder))


def filled(
    clicks: Mapping[str, int],
    *,
    trade: float = 1.0,
    served_ms: Mapping[str, int] | None = None,
    lost: float = 0.0,
) -> Exploding:
    """Two experiments with 4,000 exposures a variant in an epoch that is long over and in the present one.

    The shop's treated visitors buy `trade` times as often as the hold-out.
    """
    store = Exploding()
    for n, config in enumerate((FIRST, SECOND)):
        start_experiment(config, store=store, now=NOW + n * timedelta(minutes=1))
    times = served_ms or dict.fromkeys(EVERYWHERE.variants, 30)
    shown = {**dict.fromkeys(EVERYWHERE.variants, 500), "hybrid_margin": round(500 * (1 - lost))}
    cells = [
        CellCount(name, placement, epoch, "user", variant, n, clicks[variant], shard, n * times[variant])
        for name, placements in ((FIRST.experiment_id, FIRST.placements), (SECOND.experiment_id, SECOND.placements))
        for epoch in (1, 2)
        for placement in placements
        for variant, n in shown.items()
        for shard in range(8)
    ]
    shop = [
        ShopCount("2026-11-02", group, bucket, 100, orders, 2 * orders, 1000 * orders + bucket)
        for group, orders in (("holdout", 20), ("treated", round(20 * trade)))
        for bucket in range(64)
    ]
    store.add_counts([*cells, *shop], consumer="test", shard_id="a", after=StreamPosition(), upto=StreamPosition("1"))
    store.count_writes = 0
    return store


def stored(store: MemoryExperimentStore) -> tuple[Any, ...]:
    """Every byte that a run writes, but for the lease."""
    snapshots = [snapshot_to_json(snapshot) for snapshot in store.snapshots(first_epoch=0)]
    posteriors = [store.posteriors(config.experiment_id) for config in (FIRST, SECOND)]
    return snapshots, posteriors, store.audit


HARM = {"cohorts": 30, "hybrid": 10, "hybrid_margin": 31}  # hybrid loses two thirds of the clicks


def holders() -> Iterator[Lease]:
    """Leases of runs that follow each other by a minute, each with a name of its own."""
    for n in count():
        yield Lease(f"run-{n}", AT + n * timedelta(minutes=1))


def test_a_run_that_dies_at_any_write_is_finished_by_the_next_one_to_the_same_bytes() -> None:
    calm = filled(HARM)
    reallocate_traffic(at=AT, store=calm, lease=next(holders()))
    assert calm.count_writes >= 2 + 2 + 1 + 4  # the lease and its end, two posteriors, the swap, audit entries

    for dies_at in range(1, calm.count_writes + 1):
        for dies_after in (False, True):
            store, leases = filled(HARM), holders()
            store.dies_at, store.dies_after = dies_at, dies_after
            with suppress(DependencyDown):
                reallocate_traffic(at=AT, store=store, lease=next(leases))
            store.dies_at = None
            late = Lease("another", AT + 2 * timedelta(seconds=LEASE_SECONDS))

            reallocate_traffic(at=AT, store=store, lease=late)

            assert stored(store) == stored(calm), (dies_at, dies_after)


def test_while_one_run_works_another_one_returns_at_once() -> None:
    store = filled(HARM)
    leases = holders()
    working = next(leases)
    store.take_lease(JOB, working.holder, now=working.now, seconds=LEASE_SECONDS)
    before = stored(store)

    other = reallocate_traffic(at=AT, store=store, lease=next(leases))

    assert not other.is_new
    assert stored(store) == before
    assert reallocate_traffic(at=AT, store=store, lease=working).is_new  # a retry of the one that works


def test_the_lease_of_a_dead_run_ends_and_that_of_a_finished_one_is_given_back() -> None:
    store = filled(HARM)
    store.take_lease(JOB, "dead", now=AT, seconds=LEASE_SECONDS)

    soon = reallocate_traffic(at=AT, store=store, lease=Lease("b", AT + timedelta(seconds=LEASE_SECONDS - 1)))
    late = reallocate_traffic(at=AT, store=store, lease=Lease("b", AT + timedelta(seconds=LEASE_SECONDS)))
    following = reallocate_traffic(at=AT + DAY, store=store, lease=Lease("c", AT + timedelta(seconds=LEASE_SECONDS)))

    assert (soon.is_new, late.is_new, following.is_new) == (False, True, True)


def test_a_challenger_that_loses_too_many_clicks_is_killed_with_its_reason_and_served_to_nobody() -> None:
    store = filled(HARM)

    done = reallocate_traffic(at=AT, store=store).snapshot

    assert done is not None
    assert done.killed == {"exp_a/hybrid", "exp_b/hybrid"}
    (killed,) = [entry for entry in store.audit_trail("exp_a") if entry["action"] == "kill"]
    assert (killed["actor"], killed["killed"], killed["at"]) == (JOB, ["exp_a/hybrid"], AT.isoformat())
    assert "10%" in killed["reason"]
    served = {assign(done, f"v_{n}", FIRST.placements[0]).variant for n in range(500)}
    assert "hybrid" not in served


def test_an_experiment_whose_shoppers_clearly_buy_less_than_the_hold_out_goes_back_to_the_control() -> None:
    store = filled(dict.fromkeys(EVERYWHERE.variants, 20), trade=0.5)

    done = reallocate_traffic(at=AT, store=store).snapshot

    assert done is not None
    assert done.killed == {"exp_a", "exp_b"}
    assert {assign(done, f"v_{n}", FIRST.placements[0]).variant for n in range(500)} == {FIRST.control}
    (killed,) = [entry for entry in store.audit_trail("exp_a") if entry["action"] == "kill"]
    assert "Orders per session: -50.0% against the hold-out" in killed["reason"]
    following = reallocate_traffic(at=AT + DAY, store=store).snapshot
    assert following is not None
    assert following.weights == done.weights
    assert len(store.posteriors("exp_a")) == 1  # a dead experiment is not looked at again


def test_a_slow_variant_is_taken_off_and_the_others_go_on() -> None:
    slow = {"cohorts": 30, "hybrid": 30, "hybrid_margin": 90}
    store = filled(dict.fromkeys(EVERYWHERE.variants, 20), served_ms=slow)

    done = reallocate_traffic(at=AT, store=store).snapshot

    assert done is not None
    assert done.killed == {"exp_a/hybrid_margin", "exp_b/hybrid_margin"}
    found = store.posteriors("exp_a")[0]["guardrails"]
    assert [one["variant"] for one in found if one["name"] == "serving_ms" and one["kills"]] == ["hybrid_margin"]


def test_nothing_is_killed_while_all_is_well() -> None:
    store = filled(dict.fromkeys(EVERYWHERE.variants, 20))

    done = reallocate_traffic(at=AT, store=store).snapshot

    assert done is not None
    assert done.killed == frozenset()
    assert {entry["action"] for entry in store.audit_trail("exp_a")} <= {"start", "reallocate", "decide"}


def test_what_is_decided_stays_decided_and_is_audited_once() -> None:
    store = filled({"cohorts": 10, "hybrid": 30, "hybrid_margin": 10})
    chosen = dict.fromkeys(FIRST.placements, "hybrid")

    first = reallocate_traffic(at=AT, store=store).snapshot
    second = reallocate_traffic(at=AT + DAY, store=store).snapshot

    assert first is not None and second is not None
    assert first.decided["exp_a"] == second.decided["exp_a"] == chosen
    rest = 1 - 2 * FIRST.floor_share
    assert second.weights["exp_a"][FIRST.placements[0]] == pytest.approx((FIRST.floor_share, rest, FIRST.floor_share))
    decisions = [entry for entry in store.audit_trail("exp_a") if entry["action"] == "decide"]
    assert [entry["decided"] for entry in decisions] == [chosen]


def test_a_registered_day_is_not_lost_where_a_person_opens_an_epoch_just_after_it() -> None:
    """The run of day 14 comes second: somebody has opened epoch 3 a minute after the moment it was scheduled for."""
    store = filled({"cohorts": 10, "hybrid": 30, "hybrid_margin": 10})
    before = store.load_snapshot()
    assert before is not None
    store.swap_snapshot(replace(before, epoch=3, created_at=(AT + timedelta(minutes=1)).isoformat()))

    missed = reallocate_traffic(at=AT, store=store)
    following = reallocate_traffic(at=AT + timedelta(hours=1), store=store).snapshot

    assert not missed.is_new
    assert following is not None
    assert following.decided["exp_a"] == dict.fromkeys(FIRST.placements, "hybrid")


def test_while_the_split_is_suspect_nothing_is_decided() -> None:
    """Of the exposures of one variant a quarter is missing; its clicks would win."""
    store = filled({"cohorts": 10, "hybrid": 30, "hybrid_margin": 10}, lost=0.25)

    done = reallocate_traffic(at=AT, store=store).snapshot

    assert done is not None
    assert "exp_a" not in done.decided
    (record,) = store.posteriors("exp_a")
    assert record["split"]["suspect"]
    assert not record["look"]


def test_a_day_that_a_dead_run_has_looked_at_is_not_looked_at_twice() -> None:
    """The run of day 14 stores its posterior and dies; the next scheduled one, an hour later, puts it in force."""
    store = filled(dict.fromkeys(EVERYWHERE.variants, 20))
    store.dies_at = 3  # the swap, after two posteriors
    with suppress(DependencyDown):
        reallocate_traffic(at=AT, store=store)
    store.dies_at = None

    for hours in (1, 2):
        reallocate_traffic(at=AT + timedelta(hours=hours), store=store)

    assert [(record["epoch"], record["look"]) for record in store.posteriors("exp_a")] == [(2, True), (3, False)]
