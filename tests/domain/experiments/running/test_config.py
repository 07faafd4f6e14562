"""Configurations and snapshots: refused where they could not be run, and equal after a trip through JSON."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from recommender.contracts.placements import DEFAULT, INCUMBENT
from recommender.domain.experiments.running.config import (
    config_from_json,
    config_to_json,
    default_config,
    first_snapshot,
    snapshot_from_json,
    snapshot_to_json,
    with_experiment,
)
from recommender.errors import InvalidInput

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)


def test_the_default_experiment_compares_three_policies_in_all_placements_with_the_incumbent_as_control() -> None:
    assert CONFIG.placements == tuple(placement.placement_id for placement in DEFAULT)
    assert CONFIG.variants == ("cohorts", "hybrid", "hybrid_margin")
    assert CONFIG.control == INCUMBENT


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"experiment_id": ""}, "/experiment_id"),
        ({"experiment_id": "a#b"}, "/experiment_id"),
        ({"variants": ("cohorts",)}, "/variants"),
        ({"variants": ("cohorts", "cohorts")}, "/variants"),
        ({"variants": ("cohorts", "hybrid/2")}, "/variants/1"),
        ({"variants": tuple("abcdefghi")}, "/variants"),
        ({"placements": ()}, "/placements"),
        ({"placements": ("home_hero", "home_hero")}, "/placements"),
        ({"status": "on"}, "/status"),
        ({"mode": "win"}, "/mode"),
        ({"variants": ("cohorts", "canary")}, "/variants"),
        ({"mode": "canary", "bundle_id": "b-2"}, "/variants"),
        ({"mode": "canary", "bundle_id": "b-2", "variants": ("canary", "hybrid")}, "/variants"),
        ({"mode": "canary", "variants": ("hybrid", "canary")}, "/bundle_id"),
        ({"floor_share": 1 / 3}, "/floor_share"),
        ({"weights": ((0.5, 0.3, 0.2),)}, "/weights"),
        ({"weights": ((0.5, 0.5),) * 12}, "/weights/home_hero"),
        ({"weights": ((0.5, 0.3, 0.1),) * 12}, "/weights/home_hero"),
        ({"weights": ((0.99, 0.0, 0.01),) * 12}, "/weights/home_hero"),
        ({"holdout_share": 1.0}, "/holdout_share"),
    ],
)
def test_a_configuration_that_cannot_run_is_refused_by_the_field_that_is_wrong(
    changes: dict[str, object], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        replace(CONFIG, **changes)  # type: ignore[arg-type]

    assert refusal.value.problems[0].pointer == pointer


def test_a_canary_starts_with_five_percent_of_the_traffic_and_a_test_with_equal_weights() -> None:
    canary = replace(CONFIG, mode="canary", variants=("hybrid", "canary"), bundle_id="b-2")

    assert first_snapshot(canary, NOW).weights["exp_default"]["home_hero"] == (0.95, 0.05)
    assert first_snapshot(CONFIG, NOW).weights["exp_default"] == CONFIG.uniform_weights()
    assert config_from_json(config_to_json(canary)) == canary


def test_configurations_and_snapshots_survive_json() -> None:
    snapshot = replace(first_snapshot(CONFIG, NOW), killed=frozenset({"exp_default/hybrid"}))

    assert config_from_json(config_to_json(CONFIG)) == CONFIG
    assert snapshot_from_json(snapshot_to_json(snapshot)) == snapshot
    assert snapshot_to_json(snapshot_from_json(snapshot_to_json(snapshot))) == snapshot_to_json(snapshot)


def test_the_first_weights_are_those_of_the_configuration_and_equal_without() -> None:
    given = replace(CONFIG, weights=((0.5, 0.3, 0.2),) * 12)

    assert config_from_json(config_to_json(given)) == given
    assert first_snapshot(given, NOW).weights["exp_default"]["home_hero"] == (0.5, 0.3, 0.2)
    assert first_snapshot(CONFIG, NOW).weights["exp_default"]["home_hero"] == (1 / 3, 1 / 3, 1 / 3)


def test_a_new_version_replaces_the_old_one_in_a_new_epoch_and_leaves_other_experiments_alone() -> None:
    other = replace(CONFIG, experiment_id="exp_other", placements=("home_hero",))
    both = with_experiment(first_snapshot(other, NOW), CONFIG, NOW)

    changed = with_experiment(both, replace(CONFIG, version=2), NOW)

    assert changed.epoch == 3
    assert [(config.experiment_id, config.version) for config in changed.configs] == [
        ("exp_other", 1),
        ("exp_default", 2),
    ]
    assert changed.weights["exp_other"] == both.weights["exp_other"]
