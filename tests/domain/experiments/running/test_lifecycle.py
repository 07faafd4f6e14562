"""Which step is allowed from which status, what it puts in force, and that undoing gives back what was there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recommender.contracts.placements import CANARY
from recommender.contracts.routes import ACTIONS as ROUTED
from recommender.domain.experiments.running import lifecycle
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import STATUSES
from recommender.domain.experiments.running.lifecycle import ACTIONS, REPEATED, check_action, start, status_of
from recommender.errors import Conflict, InvalidInput

from tests.domain.experiments.lives import DAY, DRAFT, NOW, running

ALLOWED = {
    "draft": {"start", "kill"},
    "running": {"pause", "kill", "decide", "rollback"},
    "paused": {"resume", "kill", "decide", "rollback"},
    "decided": {"kill", "decide", "promote", "rollback"},
    "killed": set(),
    "promoted": {"rollback"},
    "rolled_back": set(),
}
DONE = {("start", "running"), ("resume", "running"), ("pause", "paused"), ("kill", "killed")} | {
    ("promote", "promoted"),
    ("rollback", "rolled_back"),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", ROUTED)
def test_every_action_is_allowed_repeated_or_refused_as_the_table_says(status: str, action: str) -> None:
    config = replace(DRAFT, status=status)

    if (action, status) in DONE:
        assert not check_action(config, None, action)
    elif action in ALLOWED[status]:
        assert check_action(config, None, action)
    else:
        with pytest.raises(Conflict, match=f"'exp_a' is {status}; {action} needs one that is"):
            check_action(config, None, action)


def test_the_tables_know_every_action_and_only_statuses_that_exist() -> None:
    assert ACTIONS.keys() == ROUTED.keys()
    assert {status for statuses in ACTIONS.values() for status in statuses} | set(REPEATED.values()) == set(STATUSES)


def test_a_start_is_a_new_version_in_a_new_epoch_with_the_first_weights() -> None:
    weighted = replace(DRAFT, weights=((0.9, 0.1), (0.5, 0.5)))

    config, snapshot = running(weighted)

    assert (config.version, config.status, config.started_at) == (2, "running", NOW.isoformat())
    assert snapshot.epoch == 1
    assert snapshot.weights["exp_a"] == {"home_hero": (0.9, 0.1), "pdp_similar": (0.5, 0.5)}


def test_no_step_moves_time_backwards() -> None:
    config, snapshot = running()
    ahead = replace(snapshot, created_at=(NOW + 9 * DAY).isoformat())  # days that were simulated

    step = lifecycle.set_status(config, ahead, "paused", NOW + DAY)

    assert step.snapshot is not None
    assert step.snapshot.created_at == ahead.created_at


def test_an_overlap_names_both_experiments_and_the_placement() -> None:
    _, snapshot = running()
    other = replace(DRAFT, experiment_id="exp_b", placements=("cart_cross_sell", "pdp_similar"))

    with pytest.raises(Conflict, match="'exp_b' cannot start: 'exp_a' holds 'pdp_similar'") as refusal:
        start(other, snapshot, NOW)

    assert refusal.value.code == "overlapping_experiments"


def test_experiments_on_different_placements_run_side_by_side() -> None:
    _, snapshot = running()

    _, both = running(replace(DRAFT, experiment_id="exp_b", placements=("cart_cross_sell",)), snapshot)

    assert [config.experiment_id for config in both.configs] == ["exp_a", "exp_b"]


def test_a_second_canary_must_wait() -> None:
    first = replace(DRAFT, mode="canary", variants=("hybrid", CANARY), bundle_id="b1")
    second = replace(first, experiment_id="exp_b", placements=("cart_cross_sell",))
    _, snapshot = running(first)

    with pytest.raises(Conflict, match="'exp_b' must wait"):
        start(second, snapshot, NOW)


def test_paused_shows_everybody_the_control_and_resumed_the_same_weights_as_before() -> None:
    config, snapshot = running()
    paused = lifecycle.set_status(config, snapshot, "paused", NOW)
    assert paused.config is not None
    assert paused.snapshot is not None

    assert {assign(paused.snapshot, f"v{n}", "home_hero").variant for n in range(50)} == {"cohorts"}
    resumed = lifecycle.set_status(paused.config, paused.snapshot, "running", NOW)
    assert resumed.snapshot is not None
    assert resumed.snapshot.weights == snapshot.weights
    assert resumed.snapshot.config("exp_a") == replace(config, version=4)


def test_what_the_epoch_job_decides_and_kills_counts_without_a_new_version() -> None:
    config, snapshot = running()
    by_rule = replace(snapshot, decided={"exp_a": {"home_hero": "hybrid", "pdp_similar": "cohorts"}})

    assert status_of(config, by_rule) == "decided"
    assert check_action(config, by_rule, "promote")
    assert status_of(config, replace(snapshot, killed=frozenset({"exp_a"}))) == "killed"
    assert status_of(config, replace(snapshot, decided={"exp_a": {"home_hero": "hybrid"}})) == "running"


def test_killing_a_part_sets_its_flag_once_and_never_the_control() -> None:
    config, snapshot = running()

    step = lifecycle.kill_part(config, snapshot, NOW, variant="hybrid", placement="")

    assert step.snapshot is not None
    assert step.snapshot.killed == {"exp_a/hybrid"}
    assert step.config is None
    assert lifecycle.kill_part(config, step.snapshot, NOW, variant="hybrid", placement="").snapshot is None
    with pytest.raises(InvalidInput, match="/variant is 'cohorts', expected a challenger"):
        lifecycle.kill_part(config, snapshot, NOW, variant="cohorts", placement="")
