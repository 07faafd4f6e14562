"""Any order of steps keeps the promises of the snapshot; races end in one winner; a crash leaves all or nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.experiments import ExperimentRequest
from recommender.contracts.placements import CANARY, POLICIES
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.lifecycle import OCCUPYING, status_of
from recommender.errors import Conflict, NotFound, RecommenderError
from recommender.ports import ExperimentStore, StreamPosition
from recommender.use_cases.forecast_experiment import forecast_experiment
from recommender.use_cases.manage_experiments import Order, change_experiment, draft_experiment
from recommender.use_cases.reallocate_traffic import reallocate_traffic
from recommender.use_cases.report_experiment import start_experiment

from tests.fakes.sources import MemoryArtifacts

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PLACES: Mapping[str, tuple[str, ...]] = dict.fromkeys(("home_hero", "home_trending", "pdp_similar"), POLICIES)
CONFIGS = {
    "exp_a": ExperimentConfig("exp_a", 0, ("home_hero", "pdp_similar"), ("cohorts", "hybrid"), "a"),
    "exp_b": ExperimentConfig("exp_b", 0, ("home_trending", "home_hero"), ("hybrid", "hybrid_margin"), "b"),
    "exp_c": ExperimentConfig("exp_c", 0, ("home_trending",), POLICIES, "c", weights=((0.6, 0.3, 0.1),)),
}
ORDERS = st.builds(
    Order,
    action=st.sampled_from(("start", "start", "pause", "resume", "kill", "decide", "decide", "promote", "rollback")),
    experiment_id=st.sampled_from(sorted(CONFIGS)),
    actor=st.just("ada"),
    variant=st.sampled_from(("", *POLICIES)),
)
STEPS = st.lists(st.one_of(ORDERS, st.just("reallocate"), st.sampled_from(sorted(CONFIGS))), max_size=25)


def draft(store: ExperimentStore, experiment_id: str, now: datetime = NOW, **changes: Any) -> None:
    wanted = replace(CONFIGS[experiment_id], **changes)
    draft_experiment(wanted, placements=PLACES, store=store, now=now, actor="ada")


def change(store: ExperimentStore, action: str, experiment_id: str = "exp_a", **parts: Any) -> None:
    change_experiment(Order(action, experiment_id, "ada", **parts), store=store, now=NOW)


def run(step: Order | str, store: MemoryExperimentStore, now: datetime) -> None:
    if isinstance(step, Order):
        change_experiment(step, store=store, now=now)
    elif step == "reallocate":
        reallocate_traffic(at=now, store=store)
    else:
        draft(store, step, now)


def check(snapshot: Snapshot) -> None:
    """I1 of the specification, and one experiment a placement."""
    held = [
        place for config in snapshot.configs if status_of(config, snapshot) in OCCUPYING for place in config.placements
    ]
    assert len(held) == len(set(held))
    for config in snapshot.configs:
        rows = snapshot.weights[config.experiment_id]
        assert rows.keys() == set(config.placements)
        for row in rows.values():
            assert sum(row) == pytest.approx(1, abs=1e-9)
            assert min(row) >= config.floor_share - 1e-9
    known = {config.experiment_id for config in snapshot.configs}
    assert snapshot.weights.keys() == known
    assert snapshot.decided.keys() | {flag.partition("/")[0] for flag in snapshot.killed} <= known


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_any_sequence_of_steps_keeps_weights_versions_epochs_and_placements_in_order(steps: list[Order | str]) -> None:
    store, now, versions = MemoryExperimentStore(), NOW, dict[tuple[str, int], ExperimentConfig]()
    for step in steps:
        now += timedelta(hours=1)
        before, configs = store.load_snapshot(), store.experiments()
        try:
            run(step, store, now)
        except RecommenderError:
            assert (store.load_snapshot(), store.experiments()) == (before, configs)  # refused whole
        for config in store.experiments():
            assert versions.setdefault((config.experiment_id, config.version), config) == config
        after = store.load_snapshot()
        if after is not None and after != before:
            assert after.epoch == (before.epoch if before else 0) + 1
            assert before is None or after.created_at >= before.created_at
            check(after)
            assert {config.version for config in after.configs} <= {version for _, version in versions}
    for name in CONFIGS:
        found = [version for experiment, version in versions if experiment == name]
        assert found == sorted(found) == list(range(1, len(found) + 1))


@given(st.sampled_from(POLICIES), st.sampled_from(POLICIES), st.booleans())
def test_promote_then_rollback_restores_every_default_that_differed(first: str, second: str, is_killed: bool) -> None:
    store = MemoryExperimentStore()
    for name, variant in (("exp_1", first), ("exp_2", second)):
        wanted = replace(CONFIGS["exp_c"], experiment_id=name)
        draft_experiment(wanted, placements=PLACES, store=store, now=NOW, actor="ada")
        change(store, "start", name)
        if is_killed:
            change(store, "kill", name, placement="home_trending")
        change(store, "decide", name, variant=variant)
        change(store, "promote", name)

    change(store, "rollback", "exp_2")

    snapshot = store.load_snapshot()
    assert snapshot is not None
    kept = "cohorts" if is_killed or first == second else first  # where a placement was killed the control was promoted
    assert snapshot.defaults == {"home_trending": kept}


class Racing(MemoryExperimentStore):
    """Another administrator or the epoch job is first, as often as told."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def transition(self, **parts: Any) -> None:
        current = self.load_snapshot()
        if current is not None and self.times > 0:
            self.times -= 1
            self.swap_snapshot(replace(current, epoch=current.epoch + 1))
        super().transition(**parts)


def test_a_step_that_loses_a_race_is_computed_again_on_what_won() -> None:
    store = Racing(0)
    draft(store, "exp_a")
    change(store, "start")
    store.times = 4

    change(store, "pause")

    snapshot = store.load_snapshot()
    assert snapshot is not None
    assert (snapshot.epoch, snapshot.configs[0].status) == (6, "paused")
    assert [entry["action"] for entry in store.audit_trail("exp_a")] == ["create", "start", "pause"]


def test_a_step_that_loses_every_race_says_so_and_stores_nothing() -> None:
    store = Racing(0)
    draft(store, "exp_a")
    change(store, "start")
    store.times = 99

    with pytest.raises(Conflict, match="pause of experiment 'exp_a' lost 5 races"):
        change(store, "pause")

    config = store.load_config("exp_a")
    assert config is not None
    assert config.status == "running"


def test_two_administrators_at_once_have_one_winner_and_one_entry() -> None:
    store = MemoryExperimentStore()
    draft(store, "exp_a")
    draft(store, "exp_b")
    barrier, refused = threading.Barrier(2), list[str]()

    def begin(name: str) -> None:
        barrier.wait()
        try:
            change(store, "start", name)
        except Conflict as error:
            refused.append(error.code)

    threads = [threading.Thread(target=begin, args=(name,)) for name in ("exp_a", "exp_b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    snapshot = store.load_snapshot()
    assert snapshot is not None
    assert len(snapshot.configs) == 1
    assert refused == ["overlapping_experiments"]


def test_an_ended_experiment_is_not_started_again_by_the_next_deployment() -> None:
    store = MemoryExperimentStore()
    first = replace(CONFIGS["exp_a"], version=1)
    start_experiment(first, store=store, now=NOW)
    change(store, "decide", variant="cohorts")
    change(store, "promote")

    snapshot = start_experiment(first, store=store, now=NOW)

    assert snapshot.configs == ()


def test_promoting_a_canary_flips_the_bundle_before_the_snapshot_and_rolling_back_flips_it_back() -> None:
    flips: list[str] = []

    class Bundles(MemoryArtifacts):
        def write(self, key: str, content: bytes, **conditions: Any) -> str:
            flips.append(key)
            return super().write(key, content, **conditions)

    store, artifacts = MemoryExperimentStore(), Bundles()
    draft(store, "exp_a", mode="canary", variants=("hybrid", CANARY), bundle_id="20261123-b")
    change(store, "start")
    change(store, "decide", variant=CANARY)

    with pytest.raises(NotFound) as refusal:
        change_experiment(Order("promote", "exp_a", "ada"), store=store, now=NOW, artifacts=artifacts)

    assert refusal.value.code == "unknown_bundle"
    config = store.load_config("exp_a")
    assert config is not None
    assert config.status == "decided"
    assert flips == []


def test_traffic_is_measured_from_what_ran_on_the_placements_in_the_last_days() -> None:
    store = MemoryExperimentStore()
    draft(store, "exp_b")
    change(store, "start", "exp_b")
    cells = [
        CellCount("exp_b", place, 1, "user", "hybrid", 40_000, 800, shard)
        for place in CONFIGS["exp_b"].placements
        for shard in (0, 1)
    ]
    store.add_counts(cells, consumer="c", shard_id="s", after=StreamPosition(), upto=StreamPosition("1"))
    request = ExperimentRequest("exp_c", ("home_trending",), POLICIES)

    found = forecast_experiment(
        CONFIGS["exp_c"], request, snapshot=store.load_snapshot(), store=store, now=NOW + timedelta(days=2)
    )

    assert found["forecast"]["traffic"] == {
        "source": "measured",
        "measured_days": 2.0,
        "daily_exposures": 2 * 40_000 / 2,
        "click_rate": 0.02,
        "design_effect": 1.0,
    }
    assert [problem["code"] for problem in found["problems"]] == [
        "overlapping_experiments",
        "control_is_not_the_default",
    ]
