"""Which step is allowed from which status, what it puts in force, and that undoing gives back what was there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from recommender.contracts.placements import CANARY
from recommender.contracts.routes import ACTIONS as ROUTED
from recommender.domain.experiments.evidence import shipping
from recommender.domain.experiments.running import lifecycle
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import STATUSES, ExperimentConfig, Snapshot
from recommender.domain.experiments.running.lifecycle import ACTIONS, REPEATED, check_action, start, status_of
from recommender.errors import Conflict, InvalidInput

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
DRAFT = ExperimentConfig("exp_a", 1, ("home_hero", "pdp_similar"), ("cohorts", "hybrid"), "s", status="draft")
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


def running(config: ExperimentConfig = DRAFT, snapshot: Snapshot | None = None) -> tuple[ExperimentConfig, Snapshot]:
    step = start(config, snapshot, NOW)
    assert step.config is not None
    assert step.snapshot is not None
    return step.config, step.snapshot


def decided(choices: dict[str, str], snapshot: Snapshot | None = None) -> tuple[ExperimentConfig, Snapshot]:
    config, current = running(snapshot=snapshot)
    step = shipping.decide(config, current, NOW, choices)
    assert step.snapshot is not None
    return step.config or config, step.snapshot


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


def test_a_decision_ships_all_traffic_but_the_floors_and_the_last_one_closes_the_experiment() -> None:
    config, snapshot = decided({"home_hero": "hybrid"})
    assert (config.status, config.version) == ("running", 2)
    assert snapshot.weights["exp_a"]["home_hero"] == (0.02, 0.98)

    step = shipping.decide(config, snapshot, NOW, {"pdp_similar": "cohorts"})

    assert step.config is not None
    assert (step.config.status, step.config.version) == ("decided", 3)
    assert step.snapshot is not None
    assert step.snapshot.decided["exp_a"] == {"home_hero": "hybrid", "pdp_similar": "cohorts"}


def test_a_decided_placement_is_not_decided_again_and_a_killed_variant_is_not_shipped() -> None:
    config, snapshot = decided({"home_hero": "hybrid"})

    assert shipping.decide(config, snapshot, NOW, {"home_hero": "hybrid"}).snapshot is None
    with pytest.raises(Conflict, match="'home_hero' is decided for 'hybrid'"):
        shipping.decide(config, snapshot, NOW, {"home_hero": "cohorts"})
    with pytest.raises(InvalidInput, match="a variant that was not killed"):
        shipping.decide(config, replace(snapshot, killed=frozenset({"exp_a/hybrid"})), NOW, {"pdp_similar": "hybrid"})


def test_a_promotion_leaves_nothing_behind_but_the_defaults() -> None:
    config, snapshot = decided({"home_hero": "hybrid", "pdp_similar": "hybrid"})
    flagged = replace(snapshot, killed=frozenset({"exp_a/pdp_similar", "exp_b/hybrid"}))

    step = shipping.promote(config, flagged, NOW)

    assert step.snapshot is not None
    assert step.snapshot.defaults == {"home_hero": "hybrid", "pdp_similar": "cohorts"}
    assert (step.snapshot.configs, step.snapshot.weights, step.snapshot.decided) == ((), {}, {})
    assert step.snapshot.killed == {"exp_b/hybrid"}
    assert assign(step.snapshot, "v1", "home_hero").variant == "hybrid"


def test_a_canary_is_decided_whole_and_promotes_no_policy_but_the_control() -> None:
    canary = replace(DRAFT, mode="canary", variants=("hybrid_margin", CANARY), bundle_id="b1")
    config, snapshot = running(canary)

    with pytest.raises(InvalidInput, match="a canary is decided for all of them at once"):
        shipping.decide(config, snapshot, NOW, {"home_hero": CANARY})

    step = shipping.decide(config, snapshot, NOW, dict.fromkeys(canary.placements, CANARY))
    assert step.config is not None
    assert step.snapshot is not None
    promoted = shipping.promote(step.config, step.snapshot, NOW)
    assert promoted.snapshot is not None
    assert promoted.snapshot.defaults == dict.fromkeys(canary.placements, "hybrid_margin")


def test_undoing_a_decision_serves_the_control_and_resuming_then_gives_the_weights_from_before() -> None:
    config, first = running()
    learned = replace(first, epoch=2, weights={"exp_a": {"home_hero": (0.4, 0.6), "pdp_similar": (0.7, 0.3)}})
    step = shipping.decide(config, learned, NOW, {"home_hero": "hybrid"})
    assert step.snapshot is not None

    undone = shipping.undo_decision(config, step.snapshot, NOW, [first, learned, step.snapshot])

    assert undone.config is not None
    assert undone.config.status == "paused"
    assert undone.snapshot is not None
    assert undone.snapshot.weights == learned.weights
    assert undone.snapshot.decided == {}
    assert assign(undone.snapshot, "v1", "home_hero").variant == "cohorts"
    assert shipping.undo_decision(undone.config, undone.snapshot, NOW, []).snapshot is None


def test_undoing_a_promotion_gives_back_the_earlier_defaults_exactly() -> None:
    before_all = Snapshot(1, NOW.isoformat(), (), {}, defaults={"home_hero": "hybrid_margin", "order_next": "hybrid"})
    config, before = decided({"home_hero": "hybrid", "pdp_similar": "cohorts"}, before_all)
    promoted = shipping.promote(config, before, NOW)
    assert promoted.config is not None
    assert promoted.snapshot is not None

    undone = shipping.undo_promotion(promoted.config, promoted.snapshot, NOW, before=before)

    assert undone.snapshot is not None
    assert undone.snapshot.defaults == before_all.defaults
    assert undone.config is not None
    assert undone.config.status == "rolled_back"


def test_where_the_earlier_default_is_what_is_rolled_back_the_control_serves() -> None:
    config, before = decided(dict.fromkeys(DRAFT.placements, "hybrid"))  # hybrid serves where nothing else is said
    promoted = shipping.promote(config, before, NOW)
    assert promoted.snapshot is not None

    undone = shipping.undo_promotion(config, promoted.snapshot, NOW, before=before)

    assert undone.snapshot is not None
    assert undone.snapshot.defaults == dict.fromkeys(DRAFT.placements, "cohorts")


def test_a_placement_that_was_promoted_again_since_keeps_its_later_default() -> None:
    config, before = decided(dict.fromkeys(DRAFT.placements, "hybrid"))
    promoted = shipping.promote(config, before, NOW)
    assert promoted.snapshot is not None
    later = replace(promoted.snapshot, defaults={**promoted.snapshot.defaults, "home_hero": "hybrid_margin"})

    undone = shipping.undo_promotion(config, later, NOW, before=before, kept={"home_hero"})

    assert undone.snapshot is not None
    assert undone.snapshot.defaults == {"home_hero": "hybrid_margin", "pdp_similar": "cohorts"}
    assert undone.facts == {"kept": ["home_hero"]}
