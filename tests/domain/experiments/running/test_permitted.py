"""One answer to what may serve: kills, roll-backs and pauses, as assignment, decision, promotion and report read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from recommender.domain.experiments.evidence import shipping
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, first_snapshot
from recommender.domain.experiments.running.permitted import is_off, may_serve, may_ship, policies_after
from recommender.errors import Conflict, InvalidInput

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = ExperimentConfig("exp_a", 1, ("home_hero", "pdp_similar"), ("cohorts", "hybrid", "hybrid_margin"), "a")
RUNNING = first_snapshot(CONFIG, NOW)


def decided(**choices: str) -> Snapshot:
    return replace(RUNNING, decided={"exp_a": choices})


def killed(*names: str, snapshot: Snapshot = RUNNING) -> Snapshot:
    return replace(snapshot, killed=frozenset("/".join(filter(None, ("exp_a", name))) for name in names))


def served(snapshot: Snapshot, placement: str = "home_hero") -> set[str]:
    return {assign(snapshot, f"v{n}", placement).variant for n in range(300)}


def test_everything_may_serve_where_nothing_was_killed() -> None:
    assert may_serve(CONFIG, RUNNING, "home_hero") == may_ship(CONFIG, RUNNING, "home_hero") == CONFIG.variants


@pytest.mark.parametrize(
    ("snapshot", "allowed"),
    [
        (killed("hybrid"), {"cohorts", "hybrid_margin"}),
        (killed("home_hero"), {"cohorts"}),
        (killed("pdp_similar"), {"cohorts", "hybrid", "hybrid_margin"}),
        (killed(""), {"cohorts"}),
        (killed("hybrid", "hybrid_margin"), {"cohorts"}),
        (killed("hybrid", snapshot=decided(home_hero="hybrid")), {"cohorts"}),
        (killed("hybrid_margin", snapshot=decided(home_hero="hybrid")), {"cohorts", "hybrid"}),
    ],
)
def test_what_is_served_is_what_may_serve(snapshot: Snapshot, allowed: set[str]) -> None:
    assert set(may_serve(CONFIG, snapshot, "home_hero")) == allowed
    assert served(snapshot) == allowed


@pytest.mark.parametrize("status", ["paused", "killed"])
def test_of_an_experiment_that_is_off_only_the_control_serves(status: str) -> None:
    off = replace(CONFIG, status=status)

    assert is_off(off, RUNNING)
    assert may_serve(off, RUNNING, "home_hero") == ("cohorts",)


def test_what_was_rolled_back_is_shown_and_counted_and_not_shipped_by_a_look() -> None:
    snapshot = replace(RUNNING, withdrawn={"exp_a": {"home_hero": ("hybrid",)}})

    assert may_serve(CONFIG, snapshot, "home_hero") == CONFIG.variants
    assert may_ship(CONFIG, snapshot, "home_hero") == ("cohorts", "hybrid_margin")
    assert may_ship(CONFIG, snapshot, "pdp_similar") == CONFIG.variants


def test_a_promotion_makes_the_control_the_default_where_the_decided_one_was_killed() -> None:
    choices = decided(home_hero="hybrid", pdp_similar="hybrid_margin")

    assert policies_after(CONFIG, choices) == {"home_hero": "hybrid", "pdp_similar": "hybrid_margin"}
    assert policies_after(CONFIG, killed("hybrid", snapshot=choices)) == {
        "home_hero": "cohorts",
        "pdp_similar": "hybrid_margin",
    }


def test_a_promotion_of_which_only_the_control_is_left_is_refused() -> None:
    snapshot = killed("hybrid", snapshot=decided(home_hero="hybrid", pdp_similar="hybrid"))

    with pytest.raises(Conflict, match="decided for hybrid, which was killed since; cohorts serves") as refusal:
        shipping.promote(replace(CONFIG, status="decided"), snapshot, NOW)

    assert refusal.value.code == "nothing_to_promote"


@pytest.mark.parametrize("flag", ["hybrid", "home_hero"])
def test_what_was_killed_is_not_decided_for_by_hand(flag: str) -> None:
    with pytest.raises(InvalidInput, match="a variant that was not killed"):
        shipping.decide(CONFIG, killed(flag), NOW, {"home_hero": "hybrid"})
