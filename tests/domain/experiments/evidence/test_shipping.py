"""Decisions by hand and promotions: what they put in force, and that undoing gives back what was there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recommender.contracts.placements import CANARY
from recommender.domain.experiments.evidence import shipping
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import Snapshot
from recommender.errors import Conflict, InvalidInput

from tests.domain.experiments.lives import DRAFT, NOW, decided, running


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
