"""Where a placement stands: what the looks decided, what a person decided, and what was taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from recommender.domain.experiments.evidence.standing import decision_json, overall, standings
from recommender.domain.experiments.running.config import Snapshot, default_config, first_snapshot

NOW = datetime(2026, 11, 2, tzinfo=UTC)
CONFIG = replace(
    default_config(NOW),
    placements=("home_hero", "order_next"),
    design=replace(default_config(NOW).design, boundary=2.0),
)
ID = CONFIG.experiment_id


def in_force(**decided: str) -> Snapshot:
    return replace(first_snapshot(CONFIG, NOW), epoch=9, decided={ID: decided} if decided else {})


def record(epoch: int, **decisions: str) -> dict[str, Any]:
    """A stored look at the end of this epoch that decided these placements."""
    return {
        "epoch": epoch,
        "day": float(epoch),
        "boundary": 2.6,
        "placements": {
            placement: {
                "lifts": [[0.1, 0.05, 0.15], [0.0, -0.05, 0.05]],
                "z": [3.1, 0.2],
                "expected_loss": [0.09, 0.001, 0.08],
                "decision": _decision(epoch, decisions.get(placement)),
            }
            for placement in CONFIG.placements
        },
    }


def _decision(epoch: int, variant: str | None) -> dict[str, Any]:
    if variant is None:
        return {"status": "undecided", "variant": None, "day": None, "epoch": None}
    status = "keep_control" if variant == CONFIG.control else "ship"
    return {"status": status, "variant": variant, "day": float(epoch), "epoch": epoch}


def test_a_decision_carries_the_figures_of_the_look_that_made_it() -> None:
    hero, order = standings(CONFIG, in_force(home_hero="hybrid"), [record(8), record(9, home_hero="hybrid")])

    assert (hero.status, hero.variant, hero.day, hero.epoch, hero.by) == ("ship", "hybrid", 9.0, 9, "rule")
    assert (hero.z, hero.boundary, hero.lift, hero.expected_loss) == (3.1, 2.6, (0.1, 0.05, 0.15), 0.001)
    assert hero.passed_boundary
    assert order.status == "undecided"
    assert overall([hero, order]) == "partly_decided"


def test_a_kept_control_has_no_lift() -> None:
    (hero, _) = standings(CONFIG, in_force(home_hero="cohorts"), [record(9, home_hero="cohorts")])

    assert (hero.status, hero.lift, hero.z, hero.passed_boundary) == ("keep_control", None, None, False)


def test_what_no_look_decided_was_decided_by_a_person() -> None:
    hero, order = standings(CONFIG, in_force(home_hero="hybrid", order_next="cohorts"), [record(8)])

    assert (hero.status, hero.by, hero.z) == ("ship", "operator", None)
    assert (order.status, order.by) == ("keep_control", "operator")
    assert overall([hero, order]) == "decided"


def test_a_person_who_decides_against_the_look_is_named() -> None:
    (hero, _) = standings(CONFIG, in_force(home_hero="hybrid_margin"), [record(9, home_hero="hybrid")])

    assert (hero.variant, hero.by) == ("hybrid_margin", "operator")


def test_a_decision_that_was_taken_back_is_undecided() -> None:
    (hero, _) = standings(CONFIG, in_force(), [record(9, home_hero="hybrid")])

    assert hero.status == "undecided"


def test_the_next_look_lies_after_the_newest_and_none_after_all_is_decided() -> None:
    open_ = standings(CONFIG, in_force(), [])
    assert decision_json(CONFIG, open_, [])["next_look_day"] == CONFIG.design.look_days[0]
    assert decision_json(CONFIG, open_, [record(9)])["next_look_day"] == 10

    shipped = [record(9, home_hero="hybrid", order_next="hybrid")]
    done = standings(CONFIG, in_force(home_hero="hybrid", order_next="hybrid"), shipped)
    assert decision_json(CONFIG, done, shipped)["next_look_day"] is None


def test_the_boundary_falls_from_look_to_look_to_its_constant() -> None:
    limits = decision_json(CONFIG, standings(CONFIG, in_force(), []), [])["boundaries"]

    assert len(limits) == len(CONFIG.design.look_days)
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == 2.0
